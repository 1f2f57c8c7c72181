// The explorer page: drop-down lists over window.XSIM_CURVES, one Plotly figure.
(() => {
  const curves = window.XSIM_CURVES;
  const box = document.getElementById("xsim-explorer");
  const controls = box.querySelector(".xsim-controls");
  const plot = box.querySelector(".xsim-plot");
  const note = box.querySelector(".xsim-note");
  // Okabe and Ito's colours: distinguishable for most readers, on white and on black.
  const colours = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8C8C8C"];
  const dashes = ["solid", "dash", "longdashdot", "longdash"];
  const all = "all";
  const values = (key) => [...new Set(curves.map((curve) => curve[key]))];
  const chosen = {};

  function list(key, title, options, first) {
    const label = document.createElement("label");
    label.textContent = title;
    const select = document.createElement("select");
    select.name = key;
    for (const value of options) select.add(new Option(value || "none", value));
    select.value = first;
    chosen[key] = first;
    select.addEventListener("change", () => { chosen[key] = select.value; draw(); });
    label.append(select);
    controls.append(label);
  }

  function tick(key, title, first) {
    const label = document.createElement("label");
    const box = document.createElement("input");
    box.type = "checkbox";
    box.name = key;
    box.checked = first;
    chosen[key] = first;
    box.addEventListener("change", () => { chosen[key] = box.checked; draw(); });
    label.append(box, ` ${title}`);
    label.className = "xsim-tick";
    controls.append(label);
  }

  // What is drawn first is something that was measured: each list opens with what those before it leave.
  let left = curves;
  function opening(key, ...wishes) {
    const options = [...new Set(left.map((curve) => curve[key]))];
    const first = wishes.map((wish) => options.find(wish)).find((option) => option !== undefined) ?? options[0];
    left = left.filter((curve) => curve[key] === first);
    return first;
  }
  const [sources, models, pairs] = ["source", "model", "pair_or_language"].map(values);
  const first = {
    metric: opening("metric", (name) => name === "anc"),
    model: opening("model", (name) => name === "scale_post"),
    source: opening("source", (name) => /^recorded[^(]*$/.test(name), (name) => name.startsWith("recorded")),
  };
  list("source", "Measured in", [all, ...sources], first.source);
  list("metric", "Index", values("metric").sort(), first.metric);
  list("model", "Model", [all, ...models], first.model);
  list("pair_or_language", "Pair or language", [all, ...pairs], all);
  tick("baselines", "baselines", true);
  tick("variants", "variants (controls)", false);

  function matches(curve) {
    const same = (key) => chosen[key] === all || chosen[key] === curve[key];
    return same("source") && same("model") && same("pair_or_language") && curve.metric === chosen.metric
      && (chosen.baselines || !curve.baseline) && (chosen.variants || !curve.variant);
  }

  function unrepeated(selected) {
    // Several figures measure the same curve; the first is drawn.
    const seen = new Set();
    return selected.filter((c) => {
      const key = JSON.stringify([c.source, c.model, c.pair_or_language, c.variant, c.baseline, c.mean]);
      return !seen.has(key) && seen.add(key);
    });
  }

  const shortly = (curve) => [curve.model, curve.pair_or_language, curve.baseline, curve.variant].filter(Boolean).join(", ");

  function trace(curve, _, selected) {
    const hue = chosen.pair_or_language === all ? pairs.indexOf(curve.pair_or_language) : models.indexOf(curve.model);
    // Two tables may have the same curve, measured differently: then both say which they are.
    const alike = selected.filter((c) => c.source === curve.source && shortly(c) === shortly(curve));
    const name = shortly(curve) + (alike.length > 1 ? `, ${curve.item}` : "");
    const spread = { type: "data", symmetric: false, visible: curve.seeds > 1, thickness: 1,
      array: curve.max.map((v, k) => v - curve.mean[k]), arrayminus: curve.mean.map((v, k) => v - curve.min[k]) };
    return {
      x: curve.layers, y: curve.mean, error_y: spread, mode: "lines+markers",
      name: sources.length > 1 ? `${name} (${curve.source})` : name,
      marker: { size: curve.baseline ? 3 : 6 }, opacity: curve.baseline ? 0.75 : 1,
      line: { color: colours[hue % colours.length], width: curve.baseline ? 1.5 : 2,
        dash: curve.baseline ? "dot" : dashes[sources.indexOf(curve.source) % dashes.length] },
      hovertemplate: `layer %{x}: %{y:.3f}<extra>${name}, ${curve.item}, ${curve.source}</extra>`,
    };
  }

  function draw() {
    const selected = unrepeated(curves.filter(matches));
    const style = getComputedStyle(document.body);
    const grid = "rgba(128,128,128,0.25)";
    const narrow = plot.clientWidth < 560;
    const below = narrow ? 60 + 20 * selected.length : 45; // on a phone the legend goes below, a line per curve
    Plotly.react(plot, selected.map(trace), {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { color: style.color, family: style.fontFamily, size: 13 },
      xaxis: { title: { text: "layer (0: embeddings)" }, gridcolor: grid, dtick: 1, zeroline: false },
      yaxis: { title: { text: chosen.metric }, gridcolor: grid, zerolinecolor: grid },
      margin: { l: 55, r: 10, t: 10, b: below }, height: (narrow ? 280 : 415) + below,
      legend: narrow
        ? { orientation: "h", yref: "container", y: 0, yanchor: "bottom", font: { size: 11 } }
        : { font: { size: 11 } },
      showlegend: true, hovermode: "closest",
    }, { responsive: true, displaylogo: false });
    const seeds = [...new Set(selected.map((c) => c.seeds))].sort().join(", ");
    note.textContent = selected.length
      ? `${selected.length} curves; seeds per curve: ${seeds}.`
      : "Nothing was measured for this choice.";
  }

  draw();
  new MutationObserver(draw).observe(document.documentElement, { attributeFilter: ["data-theme"] });
})();
