"use strict";
// Only makes handier what the page has already: sorting, filtering, and telling what is under the pointer.
(() => {
  const by = (id) => document.getElementById(id);

  // The table of jobs.
  const table = by("table");
  if (table) {
    // The rows of the second part are shown on demand, since laying out thousands takes seconds.
    const [body, rest] = table.tBodies;
    const rows = [...body.rows, ...(rest ? rest.rows : [])];
    const atFirst = body.rows.length;
    const order = new Map(rows.map((row, number) => [row, number]));
    const word = (row) => row.cells[2].childNodes[1].data.trim();
    const tool = (row) => row.cells[1].textContent;
    const headings = [...table.tHead.rows[0].cells];
    const value = (row, column, numeric) => {
      const cell = row.cells[column];
      if (numeric) return cell.dataset.v === undefined ? -1 : Number(cell.dataset.v);
      return column === 2 ? word(row) : cell.textContent;
    };
    headings.forEach((heading, column) => {
      const kind = heading.dataset.sort;
      if (!kind) return;
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = heading.textContent;
      heading.replaceChildren(button);
      button.addEventListener("click", () => {
        const numeric = kind === "number";
        const now = heading.getAttribute("aria-sort");
        // Numbers begin with the largest, words with the first; the third time the order is that of the declaration.
        const first = numeric ? "descending" : "ascending";
        const second = numeric ? "ascending" : "descending";
        const next = now === null ? first : now === first ? second : null;
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) heading.setAttribute("aria-sort", next);
        const sign = next === "descending" ? -1 : 1;
        const keys = new Map(rows.map((row) => [row, value(row, column, numeric)]));
        const words = new Intl.Collator(undefined, { numeric: true }).compare;
        const compare = (a, b) => {
          const difference = !next ? 0 : numeric ? keys.get(a) - keys.get(b) : words(keys.get(a), keys.get(b));
          return sign * difference || order.get(a) - order.get(b);
        };
        rows.sort(compare);
        body.append(...rows.slice(0, atFirst));
        if (rest) rest.append(...rows.slice(atFirst));
      });
    });

    const name = by("filter-name");
    const selects = [[by("filter-result"), word], [by("filter-tool"), tool]];
    for (const [select, of] of selects) {
      for (const text of [...new Set(rows.map(of))].sort()) select.add(new Option(text, text));
    }
    const more = by("more");
    const showRest = (shown) => {
      if (!rest) return;
      rest.classList.toggle("shown", shown);
      more.parentElement.hidden = shown;
    };
    let all = false;
    const showAll = () => {
      all = true;
      showRest(true);
    };
    if (more) more.addEventListener("click", showAll);
    addEventListener("beforeprint", showAll);
    const filter = () => {
      const wanted = name.value.toLowerCase();
      showRest(all || wanted !== "" || selects.some(([select]) => select.value));
      let shown = 0;
      for (const row of rows) {
        const fits = row.cells[0].textContent.toLowerCase().includes(wanted) &&
          selects.every(([select, of]) => !select.value || of(row) === select.value);
        row.hidden = !fits;
        const details = by(row.cells[0].firstChild.hash.slice(1));
        if (details) details.parentElement.hidden = !fits;
        shown += fits;
      }
      by("filter-count").textContent = `${shown} of ${rows.length} jobs`;
    };
    name.addEventListener("input", filter);
    name.form.addEventListener("submit", (event) => event.preventDefault());
    for (const [select] of selects) select.addEventListener("change", filter);
    for (const link of document.querySelectorAll("[data-show]")) {
      link.addEventListener("click", () => {
        by("filter-result").value = link.dataset.show;
        filter();
      });
    }
    by("filter-count").textContent = `${rows.length} jobs`;
  }

  // The details of a job that is pointed at are opened, as browsers that know how do themselves.
  const reveal = () => {
    const target = /^#j\d+$/.test(location.hash) && by(location.hash.slice(1));
    if (!target) return;
    target.parentElement.open = true;
    target.parentElement.scrollIntoView({ block: "start" });
    target.parentElement.firstElementChild.focus({ preventScroll: true });
  };
  addEventListener("hashchange", reveal);
  reveal();
  // More at once would keep a browser busy for long.
  const MOST_OPEN = 200;
  const all = [...document.querySelectorAll(".details details")];
  by("open").addEventListener("click", () => all.filter((one) => !one.hidden).slice(0, MOST_OPEN).forEach((one) => (one.open = true)));
  by("close").addEventListener("click", () => all.forEach((one) => (one.open = false)));

  // The timeline: one stop of the Tab key, the arrow keys walk the bars in the order of their starts.
  const lanes = by("lanes");
  if (!lanes) return;
  const readout = by("readout");
  const bars = [...lanes.querySelectorAll("a")];
  const title = (bar) => bar.querySelector("title").textContent;
  const tell = (text) => (readout.textContent = text);
  let current = bars[0];
  current.setAttribute("tabindex", "0");
  const go = (bar) => {
    if (!bar) return;
    current.setAttribute("tabindex", "-1");
    current = bar;
    current.setAttribute("tabindex", "0");
    current.focus();
  };
  // Not on the drawing itself: some browsers make an SVG that listens for focus a stop of its own.
  by("wide").addEventListener("focusin", (event) => {
    const bar = event.target.closest("a");
    if (bar) tell(title(bar));
  });
  by("wide").addEventListener("focusout", () => tell(""));
  lanes.addEventListener("mouseover", (event) => {
    const bar = event.target.closest("a");
    if (bar) tell(title(bar));
  });
  lanes.addEventListener("mouseleave", () => tell(""));
  const lane = (bar) => bar.querySelector("rect").y.baseVal.value;
  lanes.addEventListener("keydown", (event) => {
    const at = bars.indexOf(current);
    const inLane = (candidates) => candidates.find((bar) => lane(bar) === lane(current));
    const moves = {
      ArrowRight: () => inLane(bars.slice(at + 1)),
      ArrowLeft: () => inLane(bars.slice(0, at).reverse()),
      ArrowDown: () => bars[at + 1],
      ArrowUp: () => bars[at - 1],
      Home: () => bars[0],
      End: () => bars[bars.length - 1],
    };
    if (moves[event.key]) {
      event.preventDefault();
      go(moves[event.key]());
    }
  });

  // Memory under the pointer.
  const memory = by("memory");
  const data = JSON.parse(by("memory-data").textContent);
  const size = (kib) => kib >= 1048576 ? `${(kib / 1048576).toFixed(1)} GiB` : kib >= 1024 ? `${(kib / 1024).toFixed(1)} MiB` : `${kib} KiB`;
  const time = (ms) => ms >= 60000 ? `${Math.floor(ms / 60000)}m ${Math.round(ms % 60000 / 1000)}s` : `${(ms / 1000).toFixed(2)}s`;
  memory.addEventListener("mousemove", (event) => {
    const box = memory.getBoundingClientRect();
    const part = Math.min(data.at.length - 1, Math.max(0, Math.floor((event.clientX - box.left) / box.width * data.at.length)));
    const area = event.target.closest(".l");
    const layer = area ? ` · ${title(area)}` : "";
    const available = data.available[part] === null ? "" : `, ${size(data.available[part])} available`;
    tell(`at ${time(data.at[part])}: ${size(data.total[part])} used, ${size(data.reserved[part])} set aside${available}${layer}`);
  });
  memory.addEventListener("mouseleave", () => tell(""));

  // Closer and farther.
  let zoom = 1;
  const resize = (factor) => {
    const scroll = by("wide").parentElement;
    const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / by("wide").offsetWidth;
    zoom = Math.min(64, Math.max(1, zoom * factor));
    by("wide").style.width = `${zoom * 100}%`;
    scroll.scrollLeft = middle * by("wide").offsetWidth - scroll.clientWidth / 2;
    by("farther").disabled = zoom === 1;
    by("closer").disabled = zoom === 64;
    // Bars that have become wide enough get their names.
    const space = "http://www.w3.org/2000/svg";
    const wide = bars.filter((bar) => !bar.querySelector("svg") && bar.querySelector("rect").width.baseVal.value > 40);
    for (const bar of wide) {
      const cut = document.createElementNS(space, "svg");
      for (const name of ["x", "y", "width", "height"]) cut.setAttribute(name, bar.querySelector("rect").getAttribute(name));
      const text = document.createElementNS(space, "text");
      text.setAttribute("x", "4");
      text.setAttribute("y", "14");
      text.textContent = title(bar).split(": ")[0];
      cut.append(text);
      bar.append(cut);
    }
  };
  by("closer").addEventListener("click", () => resize(2));
  by("farther").addEventListener("click", () => resize(0.5));
  by("farther").disabled = true;

  // What went wrong is printed whole.
  addEventListener("beforeprint", () => {
    for (const one of document.querySelectorAll(".events, .details details:has(h3)")) one.open = true;
  });
})();
