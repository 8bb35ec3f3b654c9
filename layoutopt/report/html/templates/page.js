"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const DATA = JSON.parse(byId("data").textContent);
  const FAR = 0.3; // below this scale, text cannot be read: all of the graph is shown, a shape per layout
  const MARGIN = 600; // pixels around the window in which operators are drawn already
  const [BOX_WIDTH, BOX_HEIGHT, ROW] = [{{ box|join(", ") }}];
  const GAP = {{ gap }}; // pixels between the columns of a folded graph
  const MOST_COLUMNS = 60;
  const SCALES = [0.4, 0.55, 0.7, 0.85, 1, 1.25, 1.6, 2, 3];

  // --- numbers for people, as the rest of the page has them ---

  const bytes = (count) => {
    const power = count < 1000 ? 0 : Math.min(3, Math.floor(Math.log10(count) / 3));
    return power ? `${(count / 1000 ** power).toFixed(2)} ${["", "kB", "MB", "GB"][power]}` : `${count} B`;
  };
  const micros = (time) => (time >= 1000 ? `${(time / 1000).toPrecision(3)} ms` : `${time.toPrecision(3)} µs`);
  const error = (number) => (number === 0 ? "0" : number.toExponential(1));
  const sizes = (shape) => shape.map((each) => (each < 0 ? "any" : each)).join("×") || "scalar";

  /** Text, in which `names` stand between backticks. */
  const prose = (text) => text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? make("code", {}, part) : part)).filter((part) => part !== "");

  /** An element with properties and children, which may be text. */
  const make = (tag, properties = {}, ...children) => {
    const element = Object.assign(document.createElement(tag), properties);
    element.append(...children.flat().filter((each) => each !== null && each !== ""));
    return element;
  };

  // --- one graph ---

  class Pane {
    constructor(element) {
      this.element = element;
      this.side = element.dataset.side;
      this.data = DATA[this.side];
      this.canvas = element.querySelector(".canvas");
      this.drawing = element.querySelector(".drawing");
      this.window = element.querySelector(".window");
      this.overview = element.querySelector(".overview");
      this.bands = [...element.querySelectorAll("script[data-top]")].map((band) => ({
        markup: band.textContent,
        top: Number(band.dataset.top),
        bottom: Number(band.dataset.bottom),
        element: null,
      }));
      this.marks = { chosen: [], counterpart: [], hit: [] };
      this.scale = 1;
      this.folded = element.querySelector(".folded");
      this.isFolded = false;
      this.top = Math.min(...this.data.places.map(([, y]) => y)) - (ROW - BOX_HEIGHT) / 2;
      this.writers = new Map();
      this.readers = new Map();
      this.data.nodes.forEach((node, index) => {
        node.outputs.forEach((name) => this.writers.set(name, index));
        node.inputs.forEach((name) => this.readers.set(name, [...(this.readers.get(name) ?? []), index]));
      });
      this.first = this.data.roles.indexOf("operator");
      this.operators = this.data.roles.filter((role) => role === "operator").length;
      this.canvas.addEventListener("scroll", () => this.show(), { passive: true });
      new ResizeObserver(() => (this.isFolded && this.isShown() ? this.seeAll() : this.show())).observe(this.canvas);
    }

    isShown() {
      return this.element.offsetParent !== null;
    }

    /** Draws the slices that can be seen, and only those. */
    show() {
      const { scrollTop, clientHeight } = this.canvas;
      const [top, bottom] = [(scrollTop - MARGIN) / this.scale, (scrollTop + clientHeight + MARGIN) / this.scale];
      for (const band of this.bands) {
        const seen = !this.isFolded && band.bottom > top && band.top < bottom;
        if (seen && !band.element) {
          this.drawing.insertAdjacentHTML("beforeend", band.markup);
          band.element = this.drawing.lastElementChild;
          this.dress(band.element);
        } else if (!seen && band.element) {
          band.element.remove();
          band.element = null;
        }
      }
      this.window.setAttribute("y", this.isFolded ? 0 : scrollTop / this.scale);
      this.window.setAttribute("height", this.isFolded ? this.data.height : Math.min(this.data.height, clientHeight / this.scale));
    }

    /** Gives what is drawn the classes of its marks. */
    dress(part) {
      for (const node of part.querySelectorAll(".node")) {
        const index = Number(node.dataset.index);
        for (const [name, indices] of Object.entries(this.marks)) node.classList.toggle(name, indices.includes(index));
        node.setAttribute("aria-selected", this.marks.chosen.includes(index));
      }
      for (const edge of part.querySelectorAll(".edge")) {
        const ends = [Number(edge.dataset.source), Number(edge.dataset.target)];
        edge.classList.toggle("lit", this.marks.chosen.some((index) => ends.includes(index)));
      }
    }

    /** Zooms; the point of the window that is given in pixels, or its middle, stays where it is. */
    zoom(scale, x = this.canvas.clientWidth / 2, y = this.canvas.clientHeight / 2) {
      const whole = this.whole();
      if (whole.columns.length && scale < FAR) return this.seeAll();
      const canvas = this.canvas.getBoundingClientRect();
      const at = this.under(x + canvas.left, y + canvas.top);
      this.fold([]);
      this.scale = Math.min(3, Math.max(whole.columns.length ? FAR : whole.scale, scale));
      this.drawing.setAttribute("width", this.data.width * this.scale);
      this.drawing.setAttribute("height", this.data.height * this.scale);
      this.canvas.scrollTo(at[0] * this.scale - x, at[1] * this.scale - y);
      this.show();
    }

    /**
     * How all of the graph is seen at once: at which scale, and, where its text could not be read, in which columns, each
     * from a left to a right side, of how many rows. A graph is much higher than wide: in one column it would be a thread.
     */
    whole() {
      const [width, height] = [this.canvas.clientWidth - 4, this.canvas.clientHeight - 4];
      const scale = Math.min(1, width / this.data.width, height / this.data.height);
      if (scale >= FAR) return { scale, columns: [] };
      const most = Math.round((this.data.height - this.top) / ROW);
      let best = { scale: 0, columns: [] };
      for (let number = 1; number <= Math.min(most, MOST_COLUMNS); number += 1) {
        const rows = Math.ceil(most / number);
        const columns = this.columns(rows);
        const all = columns.reduce((sum, [left, right]) => sum + right - left, 0);
        const fits = Math.min(1, (width - GAP * (columns.length - 1)) / all, height / (rows * ROW));
        if (fits > best.scale) best = { scale: fits, columns, rows };
      }
      return best;
    }

    /** The left and right sides of the columns, of so many rows each. */
    columns(rows) {
      const found = [];
      for (const [x, y] of this.data.places) {
        const at = Math.floor((y - this.top) / (rows * ROW));
        const [left, right] = found[at] ?? [Infinity, 0];
        found[at] = [Math.min(left, x), Math.max(right, x + BOX_WIDTH)];
      }
      return found;
    }

    seeAll() {
      const { scale, columns, rows } = this.whole();
      if (!columns.length) return this.zoom(scale);
      this.scale = scale;
      this.fold(columns, rows);
      this.show();
    }

    /** Shows the graph in columns, to be read like those of a newspaper; in none, as one drawing. */
    fold(columns, rows) {
      this.isFolded = columns.length > 0;
      this.slices = columns.map(([left], at) => [left, this.top + at * rows * ROW]);
      this.canvas.classList.toggle("whole", this.isFolded);
      const height = rows * ROW;
      const column = ([left, right], at) => `<svg width="${(right - left) * this.scale}" height="${height * this.scale}" viewBox="${left} ${this.slices[at][1]} ${right - left} ${height}"><use href="#${this.side}-far"/></svg>`;
      this.folded.innerHTML = columns.map(column).join("");
    }

    /** The point of the drawing under a point of the screen. */
    under(x, y) {
      const shown = this.isFolded ? [...this.folded.children] : [this.drawing];
      const boxes = shown.map((each) => each.getBoundingClientRect());
      const at = Math.max(0, boxes.findLastIndex((box) => box.left <= x));
      const [left, top] = this.isFolded ? this.slices[at] : [0, 0];
      return [left + (x - boxes[at].left) / this.scale, top + (y - boxes[at].top) / this.scale];
    }

    step(direction) {
      const next = direction > 0 ? SCALES.find((each) => each > this.scale * 1.01) : SCALES.findLast((each) => each < this.scale * 0.99);
      if (this.isFolded) return direction > 0 && this.centre(this.marked() ?? 0, SCALES[0]);
      return next ? this.zoom(next) : direction > 0 ? this.zoom(3) : this.seeAll();
    }

    /** The box that is chosen, or stands for the one that is. */
    marked() {
      return this.marks.chosen[0] ?? this.marks.counterpart[0];
    }

    /** Moves a box to the middle, at a scale at which its text can be read. */
    centre(index, scale = this.isFolded ? 1 : this.scale) {
      if (this.isFolded || scale !== this.scale) this.zoom(scale);
      const [x, y] = this.data.places[index];
      const { clientWidth, clientHeight } = this.canvas;
      this.canvas.scrollTo(
        (x + BOX_WIDTH / 2) * this.scale - clientWidth / 2,
        (y + BOX_HEIGHT / 2) * this.scale - clientHeight / 2,
      );
      this.show();
    }

    /** The box nearest to a point of the drawing. */
    nearest(x, y) {
      let [best, least] = [0, Infinity];
      this.data.places.forEach(([left, top], index) => {
        const distance = Math.hypot((left + BOX_WIDTH / 2 - x) / 8, top + BOX_HEIGHT / 2 - y);
        if (distance < least) [best, least] = [index, distance];
      });
      return best;
    }

    /** Marks boxes, here and in what is seen from afar. */
    mark(name, indices) {
      this.marks[name] = indices;
      this.dress(this.drawing);
      const outline = ([x, y]) => `M${x} ${y}h${BOX_WIDTH}v${BOX_HEIGHT}h-${BOX_WIDTH}z`;
      this.drawing.querySelector(`.far.${name}`)?.setAttribute("d", indices.map((each) => outline(this.data.places[each])).join(""));
    }

    values(index) {
      return this.data.nodes[index].outputs.map((name) => this.data.tensors[name]?.value).filter(Boolean);
    }

    /** Boxes that stand for the same node or value of the original as one of another graph. */
    counterparts(other, index) {
      const node = other.data.nodes[index];
      const values = new Set(other.values(index));
      const same = this.data.nodes.map((_, at) => at).filter((at) => this.data.roles[at] === other.data.roles[index]);
      const named = same.filter((at) => node.name && this.data.nodes[at].name === node.name);
      const found = named.length ? named : same.filter((at) => this.values(at).some((value) => values.has(value)));
      return found.sort((a, b) => (this.data.nodes[b].operator === node.operator) - (this.data.nodes[a].operator === node.operator));
    }
  }

  const panes = new Map([...document.querySelectorAll(".pane")].map((element) => [element.dataset.side, new Pane(element)]));
  const frame = document.querySelector(".panes");
  const details = byId("details");
  let active = [...panes.values()][0];
  let chosen = null; // [pane, index]
  let pair = {}; // by side: two boxes that stand for each other, the one chosen coming from the other

  const other = (pane) => [...panes.values()].find((each) => each !== pane);

  function activate(pane) {
    active = pane;
    for (const each of panes.values()) each.element.classList.toggle("active", each === pane);
    if (!pane.isShown()) view(pane.side);
    tell();
  }

  function view(which) {
    frame.dataset.view = which;
    for (const button of document.querySelectorAll(".view")) button.setAttribute("aria-pressed", button.dataset.view === which);
    if (panes.has(which)) follow(panes.get(which));
    else if (chosen) follow(chosen[0]);
  }

  /** Goes to a graph, and there to what stands for the chosen box; back again, to the box where one has come from. */
  function follow(pane) {
    activate(pane);
    if (!chosen) return;
    const [from, index] = chosen;
    const known = pair;
    const match = from === pane ? index : known[from.side] === index ? known[pane.side] : pane.counterparts(from, index)[0];
    if (match === undefined) {
      const place = nearby(from, index, pane);
      if (place !== undefined) pane.centre(place);
    } else if (from === pane) {
      choose(pane, match);
      pair = known;
    } else {
      choose(pane, match);
      pair = { [from.side]: index, [pane.side]: match };
    }
  }

  function choose(pane, index) {
    chosen = [pane, index];
    pair = {};
    activate(pane);
    pane.centre(index);
    pane.canvas.setAttribute("aria-activedescendant", `${pane.side}-${index}`);
    pane.mark("counterpart", []);
    pane.mark("chosen", [index]);
    const twin = other(pane);
    const found = twin ? twin.counterparts(pane, index) : [];
    if (twin) {
      twin.mark("chosen", []);
      twin.mark("counterpart", found);
      const place = found[0] ?? nearby(pane, index, twin);
      if (place !== undefined && twin.isShown()) twin.centre(place);
    }
    for (const strip of document.querySelectorAll(".ribbon")) point(strip, strip.dataset.strip === pane.side ? index - pane.first : -1);
    describe(pane, index, twin, found);
    history.replaceState(null, "", `#${pane.side}:${index}`);
    tell();
  }

  /** Where the other graph has the nearest earlier operator that it has at all. */
  function nearby(pane, index, twin) {
    for (let at = index - 1; at >= 0; at -= 1) {
      const [found] = twin.counterparts(pane, at);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** The same, from elsewhere on the page. */
  function go(pane, index) {
    choose(pane, index);
    pane.element.scrollIntoView({ block: "nearest" });
  }

  function point(strip, at) {
    const pane = panes.get(strip.dataset.strip);
    const cursor = strip.querySelector(".cursor");
    cursor.hidden = at < 0 || at >= pane.operators;
    cursor.style.left = `${(100 * (at + 0.5)) / pane.operators}%`;
  }

  /** The figures of the toolbar. */
  function tell() {
    const list = active.data.transposes;
    const at = chosen && chosen[0] === active ? list.indexOf(chosen[1]) : -1;
    byId("at-transpose").textContent = list.length ? (at < 0 ? `${list.length} transposes` : `${at + 1} of ${list.length}`) : "no transposes";
    byId("zoom").textContent = `${Math.round(100 * active.scale)}%`;
  }

  // --- details ---

  function describe(pane, index, twin, found) {
    const { nodes, tensors } = pane.data;
    const node = nodes[index];
    const button = (where, at) => make("button", { type: "button", className: "pick", onclick: () => go(where, at) },
      make("b", {}, where.data.nodes[at].operator), " ", make("span", {}, where.data.nodes[at].name));
    const facts = [
      ["Layout rule", prose(node.rule)],
      ["Reason", prose(node.reason)],
      ["Bytes moved", node.is_transpose ? bytes(node.bytes_moved) : ""],
      ["Time", node.microseconds === null ? "" : micros(node.microseconds)],
      ["Order", pane.data.roles[index] === "operator" ? `${index - pane.first + 1} of ${pane.operators}` : ""],
      ...Object.entries(node.attributes ?? {}),
    ].filter(([, text]) => text.length);
    const tensor = (name, neighbours) => {
      const each = tensors[name];
      if (!each) return make("li", {}, name);
      const errors = [["error", each.relative_error], ["own", each.own_error]].filter(([, number]) => number !== null);
      return make("li", {},
        make("b", {}, `${sizes(each.shape)} ${each.dtype}`), ` ${bytes(each.size)}`,
        make("p", {}, each.layout === "natural" || !each.order ? each.layout : `${each.layout}, ${each.order}`),
        make("p", { className: "mono" }, name),
        each.value && each.value !== name ? make("p", {}, make("small", {}, "value "), make("span", { className: "mono" }, each.value)) : null,
        errors.length ? make("p", {}, make("small", {}, errors.map(([what, number]) => `${what} ${error(number)}`).join(", "))) : null,
        neighbours.map((at) => make("p", {}, button(pane, at))));
    };
    const part = (title, items) => (items.length ? [make("h4", {}, title), make("ul", {}, items)] : []);
    details.replaceChildren(
      make("h3", { className: node.is_transpose ? "transpose" : "" }, node.operator),
      make("p", { className: "mono" }, node.name),
      make("dl", {}, facts.flatMap(([name, text]) => [make("dt", {}, name), make("dd", {}, text)])),
      ...part("Reads", node.inputs.map((name) => tensor(name, pane.writers.has(name) ? [pane.writers.get(name)] : []))),
      ...part("Constants", node.constants.map((text) => make("li", { className: "mono" }, text))),
      ...part("Writes", node.outputs.map((name) => tensor(name, pane.readers.get(name) ?? []))),
      ...(twin ? part(`In the graph ${twin.side}`, found.length ? found.slice(0, 8).map((at) => make("li", {}, button(twin, at))) : [make("li", {}, "no counterpart")]) : []),
    );
    details.scrollTop = 0;
  }

  // --- search ---

  const search = byId("search");
  let hits = [];
  let hit = -1;

  function find() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    hits = [];
    hit = -1;
    for (const pane of [active, other(active)].filter(Boolean)) {
      const found = words.length ? pane.data.nodes.flatMap((node, index) => {
        const names = [...node.inputs, ...node.outputs];
        const text = [node.operator, node.name, ...names, ...pane.values(index)].join("\n").toLowerCase();
        return words.every((word) => text.includes(word)) ? [index] : [];
      }) : [];
      pane.mark("hit", found);
      pane.drawing.classList.toggle("searching", words.length > 0);
      hits.push(...found.map((index) => [pane, index]));
    }
    byId("hits").textContent = words.length ? (hits.length ? `${hits.length} found` : "nothing found") : "";
  }

  function nextHit(direction) {
    if (!hits.length) return;
    hit = hit < 0 ? (direction > 0 ? 0 : hits.length - 1) : (hit + direction + hits.length) % hits.length;
    go(...hits[hit]);
    byId("hits").textContent = `${hit + 1} of ${hits.length}`;
  }

  // --- moving ---

  function nextTranspose(direction) {
    const pane = active.data.transposes.length ? active : other(active);
    const list = pane?.data.transposes ?? [];
    if (!list.length) return;
    const from = chosen && chosen[0] === pane ? chosen[1] : direction > 0 ? -1 : Infinity;
    const found = direction > 0 ? list.find((each) => each > from) : list.findLast((each) => each < from);
    go(pane, found ?? (direction > 0 ? list[0] : list.at(-1)));
  }

  function enter(pane) {
    if (!pane) return;
    follow(pane);
    pane.canvas.focus();
  }

  function walk(key) {
    const last = active.data.nodes.length - 1;
    const at = chosen && chosen[0] === active ? chosen[1] : null;
    if (at === null || key === "Home") return go(active, 0);
    const node = active.data.nodes[at];
    const to = {
      ArrowRight: Math.min(last, at + 1),
      ArrowLeft: Math.max(0, at - 1),
      End: last,
      ArrowDown: node.outputs.flatMap((name) => active.readers.get(name) ?? [])[0],
      ArrowUp: node.inputs.map((name) => active.writers.get(name)).find((each) => each !== undefined),
    }[key];
    if (to !== undefined) go(active, to);
  }

  const shown = () => [...panes.values()].filter((pane) => pane.isShown());

  /** All of the graphs, or the text again. */
  function fit() {
    const whole = active.whole();
    const isNear = !active.isFolded && (whole.columns.length || active.scale > whole.scale * 1.01);
    for (const pane of shown()) {
      if (isNear) pane.seeAll();
      else pane.centre(pane.marked() ?? 0, 1);
    }
    tell();
  }

  function zoomBy(direction) {
    for (const pane of shown()) pane.step(direction);
    tell();
  }

  // --- the two themes ---

  const THEMES = ["system", "light", "dark"];
  let theme = "system";

  function dress(name) {
    theme = name;
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    byId("theme").textContent = `Theme: ${theme}`;
  }

  // --- charts ---

  const sums = new Map([...panes].map(([side, pane]) => {
    let total = 0;
    return [side, pane.data.nodes.slice(pane.first, pane.first + pane.operators).map((node) => (total += node.bytes_moved))];
  }));

  const READOUTS = {
    bytes: (at) => [...sums].map(([side, list]) => `${side}: ${bytes(list[Math.min(at, list.length - 1)] ?? 0)} so far`).join(", "),
    error: (at) => {
      const { nodes, tensors } = DATA.after;
      const written = nodes[panes.get("after").first + at].outputs.map((name) => tensors[name]).filter((each) => each && each.relative_error !== null);
      return written.map((each) => `relative error ${error(each.relative_error)}` + (each.own_error === null ? "" : `, own ${error(each.own_error)}`)).join("; ") || "not compared";
    },
  };

  function prepareChart(chart) {
    const plot = chart.querySelector(".plot");
    const operators = Number(plot.dataset.operators);
    const pane = () => (chart.dataset.chart === "error" || at >= active.operators ? [...panes.values()].findLast((each) => chart.dataset.chart === "error" || at < each.operators) : active);
    let at = 0;
    const move = (to) => {
      at = Math.min(operators - 1, Math.max(0, to));
      const cursor = plot.querySelector(".cursor");
      cursor.hidden = false;
      cursor.style.left = `${(100 * (at + 0.5)) / operators}%`;
      const node = pane().data.nodes[pane().first + at];
      const text = `${at + 1} (${pane().side}) ${node.operator} ${node.name} – ${READOUTS[chart.dataset.chart](at)}`;
      chart.querySelector(".readout").textContent = text;
      plot.setAttribute("aria-valuenow", at + 1);
      plot.setAttribute("aria-valuetext", text);
    };
    const under = (event) => {
      const box = plot.getBoundingClientRect();
      return Math.floor((operators * (event.clientX - box.left)) / box.width);
    };
    const open = () => go(pane(), pane().first + at);
    plot.addEventListener("pointermove", (event) => move(under(event)));
    plot.addEventListener("click", (event) => (move(under(event)), open()));
    plot.addEventListener("keydown", (event) => {
      const step = event.shiftKey ? 10 : 1;
      const to = { ArrowRight: at + step, ArrowLeft: at - step, Home: 0, End: operators - 1 }[event.key];
      if (to !== undefined) move(to);
      else if (event.key === "Enter") open();
      else return;
      event.preventDefault();
    });
  }

  // --- what the reader does ---

  for (const pane of panes.values()) {
    let drag = null;
    pane.canvas.addEventListener("focus", () => activate(pane));
    pane.canvas.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "mouse" && event.button === 0) {
        drag = { x: event.clientX, y: event.clientY, left: pane.canvas.scrollLeft, top: pane.canvas.scrollTop, moved: false };
      }
    });
    window.addEventListener("pointermove", (event) => {
      if (!drag) return;
      const [x, y] = [event.clientX - drag.x, event.clientY - drag.y];
      drag.moved ||= Math.hypot(x, y) > 4;
      if (!drag.moved) return;
      pane.canvas.classList.add("dragging");
      pane.canvas.scrollTo(drag.left - x, drag.top - y);
    });
    pane.canvas.addEventListener("click", (event) => {
      if (drag?.moved) return;
      const node = event.target.closest(".node");
      if (node) choose(pane, Number(node.dataset.index));
      else if (pane.isFolded) choose(pane, pane.nearest(...pane.under(event.clientX, event.clientY)));
    });
    window.addEventListener("pointerup", () => {
      pane.canvas.classList.remove("dragging");
      setTimeout(() => (drag = null)); // after the click that ends a drag
    });
    pane.canvas.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey) return;
      event.preventDefault();
      const box = pane.canvas.getBoundingClientRect();
      activate(pane);
      pane.zoom(pane.scale * Math.exp(-event.deltaY / 300), event.clientX - box.left, event.clientY - box.top);
      tell();
    }, { passive: false });
    pane.overview.addEventListener("pointerdown", (event) => {
      const box = pane.overview.getBoundingClientRect();
      activate(pane);
      const y = (pane.data.height * (event.clientY - box.top)) / box.height;
      pane.canvas.scrollTo({ top: y * pane.scale - pane.canvas.clientHeight / 2 });
    });
  }

  for (const strip of document.querySelectorAll(".ribbon")) {
    strip.querySelector("svg").addEventListener("click", (event) => {
      const pane = panes.get(strip.dataset.strip);
      const box = event.currentTarget.getBoundingClientRect();
      const at = Math.floor((pane.operators * (event.clientX - box.left)) / box.width);
      go(pane, pane.first + Math.min(pane.operators - 1, at));
    });
  }

  document.addEventListener("click", (event) => {
    const pick = event.target.closest("[data-pick]");
    if (!pick) return;
    const [side, index] = pick.dataset.pick.split(":");
    go(panes.get(side), Number(index));
    active.canvas.focus({ preventScroll: true });
  });

  const KEYS = {
    n: () => nextTranspose(1),
    p: () => nextTranspose(-1),
    b: () => enter(panes.get("before")),
    a: () => enter(panes.get("after")),
    "+": () => zoomBy(1),
    "=": () => zoomBy(1),
    "-": () => zoomBy(-1),
    f: fit,
    t: () => dress(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]),
    "/": () => search.focus(),
    "?": () => byId("help").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input") || byId("help").open) return;
    if (event.target.matches(".canvas")) {
      if (/^(Arrow|Home$|End$)/.test(event.key)) walk(event.key);
      else if (event.key === "Enter" && chosen) details.focus();
      else if (KEYS[event.key]) KEYS[event.key]();
      else return;
      event.preventDefault();
    } else if (event.key === "Escape" && details.contains(event.target)) {
      active.canvas.focus();
    } else if (KEYS[event.key]) {
      event.preventDefault();
      KEYS[event.key]();
    }
  });

  search.addEventListener("input", find);
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") nextHit(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") {
      search.value = "";
      find();
      active.canvas.focus();
    }
  });
  byId("next").addEventListener("click", () => nextTranspose(1));
  byId("previous").addEventListener("click", () => nextTranspose(-1));
  byId("zoom-in").addEventListener("click", () => zoomBy(1));
  byId("zoom-out").addEventListener("click", () => zoomBy(-1));
  byId("fit").addEventListener("click", fit);
  byId("theme").addEventListener("click", KEYS.t);
  byId("help-open").addEventListener("click", KEYS["?"]);
  for (const button of document.querySelectorAll(".view")) button.addEventListener("click", () => view(button.dataset.view));
  document.querySelectorAll(".chart").forEach(prepareChart);

  // --- at first ---

  for (const pane of panes.values()) {
    pane.canvas.scrollTo((pane.data.places[0][0] + BOX_WIDTH / 2) - pane.canvas.clientWidth / 2, 0);
    pane.show();
  }
  activate(active);
  const linked = /^#(before|after):(\d+)$/.exec(location.hash);
  if (linked && panes.get(linked[1])?.data.nodes[linked[2]]) go(panes.get(linked[1]), Number(linked[2]));
  document.documentElement.dataset.ready = "true";
})();
