"""One folder per paper, with everything of that paper: found by existing (`xsim_lib.evidence.chapters`)."""
