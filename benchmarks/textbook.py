"""The indices as their papers write them, in plain NumPy and SciPy: what a reader would type."""

import numpy as np
from scipy.linalg import orthogonal_procrustes
from scipy.spatial.distance import pdist, squareform


def centred(x):
    return x - x.mean(axis=0)


def anc(x, y):
    d = x.shape[1]
    return np.mean([abs(np.corrcoef(x[:, i], y[:, i])[0, 1]) for i in range(d)])


def linear_cka(x, y):
    x, y = centred(x), centred(y)
    cross = np.linalg.norm(x.T @ y) ** 2
    return cross / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def unbiased_hsic(k, m):
    n = len(k)
    k, m = k.copy(), m.copy()
    np.fill_diagonal(k, 0)
    np.fill_diagonal(m, 0)
    ones = np.ones(n)
    middle = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return (np.trace(k @ m) + middle - 2 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3))


def debiased_cka(x, y):
    k, m = x @ x.T, y @ y.T
    return unbiased_hsic(k, m) / np.sqrt(unbiased_hsic(k, k) * unbiased_hsic(m, m))


def rbf_cka(x, y):
    def centred_kernel(v):
        distances = pdist(v, "sqeuclidean")
        k = np.exp(-squareform(distances) / (2 * np.median(distances[distances > 0])))
        h = np.eye(len(k)) - 1 / len(k)
        return h @ k @ h

    k, m = centred_kernel(x), centred_kernel(y)
    return np.sum(k * m) / np.sqrt(np.sum(k * k) * np.sum(m * m))


def canonical(x, y):
    qx, qy = np.linalg.qr(centred(x))[0], np.linalg.qr(centred(y))[0]
    u, s, _ = np.linalg.svd(qx.T @ qy)
    return qx @ u, s


def cca(x, y):
    return canonical(x, y)[1].mean()


def svcca(x, y, components=20):
    def top(v):
        u, s, _ = np.linalg.svd(centred(v), full_matrices=False)
        return u[:, :components] * s[:components]

    return cca(top(x), top(y))


def pwcca(x, y):
    h, s = canonical(x, y)
    weights = np.abs(h.T @ x).sum(axis=1)
    return (weights * s).sum() / weights.sum()


def procrustes(x, y):
    x, y = (centred(v) / np.linalg.norm(centred(v)) for v in (x, y))
    q, _ = orthogonal_procrustes(y, x)
    return np.linalg.norm(x - y @ q)


def matching_accuracy(x, y):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    y = y / np.linalg.norm(y, axis=1, keepdims=True)
    return np.mean(np.argmax(x @ y.T, axis=1) == np.arange(len(x)))


def all_second_order(x, y):
    """Six indices, each from the rows."""
    return sum(f(x, y) for f in (anc, linear_cka, cca, svcca, pwcca, procrustes))
