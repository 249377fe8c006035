// Draws each figure of a page again with plotly.js, in place of the drawing that is there, when it comes into view: to be
// pointed at, zoomed, and with arms hidden. Without this script, and on paper, the drawings stay.
"use strict";

(async () => {
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const figures = read("figures-data");
  const names = read("figures-names");
  const panels = [...document.querySelectorAll(".panel")];
  const hidden = new Set(); // arms, in all figures

  await unpack();
  const seen = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) if (isIntersecting) begin(target);
  }, { rootMargin: "300px" });
  panels.forEach((panel) => seen.observe(panel));
  document.querySelectorAll(".legend").forEach(offer);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => panels.filter(isDrawn).forEach(draw));
  document.body.classList.add("asks");

  async function unpack() {
    const packed = Uint8Array.from(atob(document.getElementById("plotly").textContent), (char) => char.charCodeAt(0));
    const text = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
    const script = document.createElement("script");
    script.textContent = await new Response(text).text();
    document.head.append(script);
  }

  function begin(panel) {
    seen.unobserve(panel);
    const plot = document.createElement("div");
    plot.className = "plot";
    plot.tabIndex = 0;
    plot.setAttribute("role", "group");
    plot.setAttribute("aria-label", "Figure: + and - zoom, 0 shows all, left and right go from point to point");
    plot.addEventListener("keydown", (event) => press(event, plot));
    panel.append(plot);
    draw(panel);
    panel.classList.add("drawn");
  }

  function draw(panel) {
    const { data, layout } = painted(figures[panel.dataset.figure][panel.dataset.panel]);
    for (const trace of data) {
      trace.visible = !hidden.has(trace.name);
      if (trace.text) trace.text = trace.text.map((place) => names[place]);
    }
    const touched = matchMedia("(pointer: coarse)").matches; // there a finger that drags scrolls the page
    Plotly.react(panel.lastElementChild, data, { ...layout, dragmode: touched ? false : "zoom" }, {
      displayModeBar: false,
      responsive: true,
    });
  }

  function painted(figure) {
    const style = getComputedStyle(document.documentElement);
    const text = JSON.stringify(figure).replace(/var\((--[\w-]+)\)/g, (_, name) => style.getPropertyValue(name).trim());
    return JSON.parse(text);
  }

  function isDrawn(panel) {
    return panel.classList.contains("drawn");
  }

  function offer(legend) {
    for (const item of legend.children) {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...item.childNodes);
      button.setAttribute("aria-pressed", "true");
      button.addEventListener("click", () => toggle(item.dataset.arm));
      item.append(button);
    }
  }

  function toggle(arm) {
    if (!hidden.delete(arm)) hidden.add(arm);
    for (const item of document.querySelectorAll(".legend li"))
      item.firstElementChild.setAttribute("aria-pressed", String(!hidden.has(item.dataset.arm)));
    for (const panel of panels.filter(isDrawn)) {
      const plot = panel.lastElementChild;
      Plotly.restyle(plot, { visible: plot.data.map((trace) => !hidden.has(trace.name)) });
    }
  }

  function press(event, plot) {
    const zooms = { "+": 0.7, "=": 0.7, "-": 1 / 0.7 };
    const steps = { ArrowRight: 1, ArrowLeft: -1 };
    if (event.key in zooms) zoom(plot, zooms[event.key]);
    else if (event.key === "0") draw(plot.parentElement);
    else if (event.key in steps) step(plot, steps[event.key]);
    else return;
    event.preventDefault();
  }

  function zoom(plot, factor) {
    const nearer = ([low, high]) => [(low + high - factor * (high - low)) / 2, (low + high + factor * (high - low)) / 2];
    const { xaxis, yaxis } = plot._fullLayout;
    Plotly.relayout(plot, { "xaxis.range": nearer(xaxis.range), "yaxis.range": nearer(yaxis.range) });
  }

  function step(plot, by) {
    const points = plot.data.flatMap((trace, curveNumber) =>
      trace.visible && trace.hoverinfo !== "skip" ? trace.x.map((x, pointNumber) => ({ x, curveNumber, pointNumber })) : [],
    );
    points.sort((a, b) => a.x - b.x || a.curveNumber - b.curveNumber);
    plot.at = ((plot.at ?? (by > 0 ? -1 : 0)) + by + points.length) % points.length;
    const { curveNumber, pointNumber } = points[plot.at];
    Plotly.Fx.hover(plot, [{ curveNumber, pointNumber }]);
  }
})();
