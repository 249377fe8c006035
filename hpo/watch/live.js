// Asks the server again and again how far the study is, and shows what it says. Whatever it says is shown as text.
"use strict";

(() => {
  const EVERY = 2000; // milliseconds while the study runs
  const SELDOM = 20000; // when it is over, for it may be extended
  const COLOURS = 6;
  const address = document.querySelector("main").dataset.address;
  const at = (id) => document.getElementById(id);
  let timer;

  document.addEventListener("visibilitychange", () => document.hidden || look());
  look();

  async function look() {
    clearTimeout(timer);
    let pause = EVERY;
    if (!document.hidden) {
      try {
        const response = await fetch(address, { cache: "no-store" });
        const said = await response.json();
        if (response.ok) show(said);
        gone(response.ok ? "" : said.reason);
        pause = said.isOver ? SELDOM : EVERY;
      } catch {
        gone("The server does not answer any more. To go on: hpo dashboard");
      }
    }
    timer = setTimeout(look, pause);
  }

  function gone(why) {
    at("gone").hidden = !why;
    write(at("gone"), why && `${why} What stands here is what was known last.`);
  }

  function show(study) {
    document.title = study.isOver ? `${study.name}: ${study.state}` : `${study.done}/${study.total} ${study.name}`;
    write(at("state"), study.state);
    write(at("left"), study.timeLeft && `time left: ${study.timeLeft}`);
    write(at("doing"), study.doing);
    at("over").hidden = !study.isOver;
    at("progress").max = study.total || 1;
    at("progress").value = study.done;
    write(at("count"), `${study.done} of the ${study.total} trials planned so far are done`);
    write(at("metric"), study.metric);
    at("arms").replaceChildren(...study.arms.map((arm) => row(arm, study.arms)));
    at("claims-part").hidden = !study.claims.length;
    at("claims").replaceChildren(...study.claims.map(claim));
    at("workers-part").hidden = !study.workers.length;
    at("workers").replaceChildren(...study.workers.map((line) => element("li", line)));
    at("failure-part").hidden = !study.lastFailure;
    write(at("failure"), study.lastFailure);
  }

  function row(arm, arms) {
    const name = element("th", arm.name);
    name.scope = "row";
    const bar = element("td");
    bar.className = "bar";
    const progress = element("progress");
    progress.max = arm.total || 1;
    progress.value = arm.done;
    progress.setAttribute("aria-label", `${arm.name}: trials done`);
    bar.append(progress);
    const failed = arm.failed ? `${arm.done}/${arm.total}, ${arm.failed} failed` : `${arm.done}/${arm.total}`;
    const curve = element("td");
    if (arm.curve.length) curve.append(drawn(arm, arms));
    const made = element("tr");
    made.append(name, bar, element("td", failed), element("td", arm.best), curve);
    return made;
  }

  // One scale for all arms, so that their curves can be compared.
  function drawn(arm, arms) {
    const values = arms.flatMap(({ curve }) => curve);
    const low = Math.min(...values);
    const high = Math.max(...values);
    const y = (value) => (high > low ? 19 - (18 * (value - low)) / (high - low) : 1);
    const points = arm.curve.length > 1 ? arm.curve : [arm.curve[0], arm.curve[0]];
    const x = (place) => (100 * place) / (points.length - 1);
    const drawing = svg("svg", { viewBox: "0 0 100 20", preserveAspectRatio: "none", role: "img" });
    drawing.setAttribute("aria-label", arm.curveInWords);
    const path = points.map((value, place) => `${place ? "L" : "M"}${x(place).toFixed(2)} ${y(value).toFixed(2)}`);
    const colour = `var(--arm-${arms.indexOf(arm) % COLOURS})`;
    const line = svg("path", { d: path.join("") });
    line.style.stroke = colour;
    drawing.append(line);
    return drawing;
  }

  function claim({ leans, text, measured }) {
    const made = element("li");
    const first = element("p");
    first.append(element("strong", leans), ` ${text}`);
    made.append(first);
    if (measured) made.append(element("p", measured));
    return made;
  }

  function element(name, text = "") {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  }

  function svg(name, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  }

  // Only what has changed, so that a screen reader says it once.
  function write(where, text) {
    if (where.textContent !== text) where.textContent = text;
  }
})();
