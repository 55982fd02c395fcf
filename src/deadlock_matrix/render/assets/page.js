// A report's page: grid, filters, opened cells. All text goes in as text (see `make`); nothing that
// a report holds is ever read as HTML. What the data means: render/html/document.py.
"use strict";
(() => {
  const data = JSON.parse(document.getElementById("document").textContent);
  const AXES = ["interpreter", "profile", "layout", "entry", "context"];
  const MARKS = {
    ok: "o",
    error: "E",
    crash: "C",
    deadlock: "D",
    hang: "H",
    slow: "S",
    unavailable: "–",
    invalid: "?",
    gone: "×",
  };
  const ROLES = ["matrix", "positive-control", "negative-control"];
  const FIRST = { baseline: 0, main: 0 };
  const SHOWN = 10;
  const byId = (id) => document.getElementById(id);

  // --- making elements -------------------------------------------------------------------------

  // make("p.note", {title: "..."}, "text", child, [more children]); nothing for null.
  function make(name, attributes, ...children) {
    const [tag, ...classes] = name.split(".");
    const element = document.createElement(tag);
    if (classes.length) element.className = classes.join(" ");
    for (const [key, value] of Object.entries(attributes || {})) {
      if (typeof value === "function") element.addEventListener(key, value);
      else if (value === true) element.setAttribute(key, "");
      else if (value !== null && value !== undefined && value !== false) element.setAttribute(key, value);
    }
    for (const child of children.flat(Infinity)) {
      if (child !== null && child !== undefined && child !== false) element.append(child);
    }
    return element;
  }

  const mark = (verdict, ...classes) =>
    make(["span.mark", verdict, ...classes].join("."), { "aria-hidden": "true" }, MARKS[verdict] || "?");
  const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;
  const facts = (pairs) =>
    make(
      "dl.facts",
      null,
      pairs.map(([label, text]) => [make("dt", null, label), make("dd", null, text)]),
    );
  const more = (title, ...children) => make("details.more", null, make("summary", null, title), ...children);
  const plainList = (texts) =>
    make(
      "ul.plain",
      null,
      texts.map((text) => make("li", null, text)),
    );

  function time(seconds) {
    if (seconds === null) return "";
    if (seconds < 0.00995) return `${(seconds * 1000).toFixed(1)} ms`;
    if (seconds < 0.9995) return `${Math.round(seconds * 1000)} ms`;
    if (seconds < 9.995) return `${seconds.toFixed(2)} s`;
    return seconds < 119.5 ? `${Math.round(seconds)} s` : `${Math.round(seconds / 60)} min`;
  }

  // --- the data, as it is asked for ------------------------------------------------------------

  // Details stand in parts of their own: to read all of them would keep a large page from opening.
  const parts = [...document.querySelectorAll("script.details")];
  const details = parts.map(() => null);
  function detailOf(number) {
    const length = Number(parts[0].dataset.length);
    const part = Math.floor(number / length);
    details[part] ??= JSON.parse(parts[part].textContent);
    const own = details[part][number % length];
    const common = data.common[own.common];
    return { ...common, ...own, facts: [...(own.facts || []), ...(common.facts || [])] };
  }
  // Rows are columns, each as long as the others.
  class Row {
    constructor(columns, number) {
      this.columns = columns;
      this.number = number;
      this.point = null;
    }
    get at() {
      return AXES.map((axis) => this.columns[axis][this.number]);
    }
    get repeat() {
      return this.columns.repeat[this.number];
    }
    get verdict() {
      return this.columns.verdict[this.number];
    }
    get expected() {
      return this.columns.as_expected[this.number];
    }
    get seconds() {
      return this.columns.seconds[this.number];
    }
    get why() {
      return data.texts[this.columns.why[this.number]];
    }
    get detail() {
      return this.columns === data.rows ? detailOf(this.number) : undefined;
    }
    get role() {
      return this.columns.role[this.number];
    }
  }
  const rowsOf = (columns) => columns.role.map((_, number) => new Row(columns, number));
  const rows = rowsOf(data.rows);
  const nameOf = (axis, value) => data.axes[AXES[axis]][value].name;
  const idOf = (at) => at.map((value, axis) => nameOf(axis, value)).join("/");
  const severity = (verdict) => data.severity.indexOf(verdict);
  const worst = (some) => some.reduce((a, b) => (severity(b.verdict) < severity(a.verdict) ? b : a));
  const rank = (axis) => {
    const values = data.axes[AXES[axis]].map((choice, number) => [FIRST[choice.name] ?? 1, number]);
    const sorted = values.sort((a, b) => a[0] - b[0] || a[1] - b[1]).map((pair) => pair[1]);
    const ranks = [];
    sorted.forEach((number, place) => (ranks[number] = place));
    return ranks;
  };
  const RANKS = AXES.map((_, axis) => rank(axis));

  // A point is a place in the grid: all runs of one combination, now and, if compared, before.
  const points = new Map();
  const compared = data.compared;
  function point(row) {
    // A number: to make a text of each of a hundred thousand rows takes its time.
    let key = ROLES.indexOf(row.role);
    for (const axis of AXES) key = key * data.axes[axis].length + row.columns[axis][row.number];
    let found = points.get(key);
    if (!found) {
      const at = row.at;
      const prefix = row.role === "matrix" ? "" : `${row.role}/`;
      const id = prefix + idOf(at);
      found = { key: prefix + at.join("/"), at, id, now: [], before: [], changes: [], matrix: !prefix };
      points.set(key, found);
    }
    return found;
  }
  rows.forEach((row) => (row.point = point(row)).now.push(row));
  if (compared) {
    rowsOf(compared.rows).forEach((row) => point(row).before.push(row));
    const known = new Map([...points.values()].map((each) => [each.id, each]));
    for (const group of compared.changes) {
      for (const [id, before, after] of group.cells) known.get(id)?.changes.push({ group, before, after });
    }
  }
  for (const each of points.values()) {
    each.worst = each.now.length ? worst(each.now).verdict : "gone";
    each.hit = each.now.filter((row) => row.verdict === each.worst).length;
    each.odd = each.now.some((row) => !row.expected);
    each.was = each.before.length ? worst(each.before).verdict : null;
    each.moved = Boolean(compared) && (each.changes.length > 0 || each.was !== each.worst);
    const whys = new Set(each.now.map((row) => row.why));
    each.searched = [each.id, each.worst, ...whys].join("\n").toLowerCase();
  }
  const matrix = [...points.values()].filter((each) => each.matrix);
  // By axis: the values that cells of the matrix have, in the order in which they are shown.
  const used = AXES.map((_, axis) =>
    [...new Set(matrix.map((each) => each.at[axis]))].sort((a, b) => RANKS[axis][a] - RANKS[axis][b]),
  );

  const timesOf = (each) => (each.hit === each.now.length ? `${each.hit}` : `${each.hit}/${each.now.length}`);
  const secondsOf = (each) => (each.seconds === undefined ? (each.seconds = medianOf(each)) : each.seconds);
  function medianOf(each) {
    if (each.worst !== "ok") return null;
    const some = each.now
      .map((row) => row.seconds)
      .filter((value) => value !== null)
      .sort((a, b) => a - b);
    return some.length ? some[Math.floor(some.length / 2)] : null;
  }
  function sentence(each) {
    const parts = [each.worst === "gone" ? "no result any more" : each.worst];
    if (each.now.length > 1) parts.push(`${each.hit} of ${count(each.now.length, "run")}`);
    if (secondsOf(each) !== null) parts.push(time(secondsOf(each)));
    if (each.odd) parts.push("not as expected");
    if (compared && each.was !== each.worst) parts.push(each.was ? `before: ${each.was}` : "new");
    return parts.join(", ");
  }

  // --- filters ---------------------------------------------------------------------------------

  const ARRANGEMENTS = [
    ["Profiles by layouts and entries", [0, [1]], [2, [3, 4]]],
    ["Entries by layouts and profiles", [0, [3, 4]], [2, [1]]],
    ["Profiles by interpreters and layouts", [3, [4, 1]], [0, [2]]],
  ];
  const state = {
    axes: AXES.map(() => new Set()),
    verdicts: new Set(),
    text: "",
    only: "",
    arrangement: 0,
  };

  function passes(each, skipVerdict) {
    const words = state.text.toLowerCase().split(/\s+/).filter(Boolean);
    return (
      state.axes.every((chosen, axis) => !chosen.size || chosen.has(each.at[axis])) &&
      (skipVerdict || !state.verdicts.size || state.verdicts.has(each.worst)) &&
      (state.only !== "odd" || each.odd) &&
      (state.only !== "moved" || each.moved) &&
      words.every((word) => each.searched.includes(word))
    );
  }

  function axisMenu(name, axis) {
    const choices = data.axes[name];
    const chosen = state.axes[axis];
    const told = make("span.chosen");
    const menu = make("details.menu");
    const tell = () => {
      told.textContent = chosen.size ? ` ${chosen.size} of ${used[axis].length}` : ` ${used[axis].length}`;
      menu.classList.toggle("active", chosen.size > 0);
    };
    const boxes = used[axis].map((number) => {
      const box = make("input", {
        type: "checkbox",
        name,
        value: number,
        change: () => {
          if (box.checked) chosen.add(number);
          else chosen.delete(number);
          tell();
          refresh();
        },
      });
      return make("label", null, box, make("span", null, choices[number].name));
    });
    const title = name[0].toUpperCase() + name.slice(1);
    menu.append(make("summary", null, title, told), make("fieldset", { "aria-label": title }, boxes));
    menu.addEventListener("toggle", () => {
      if (menu.open) document.querySelectorAll(".menu[open]").forEach((other) => (other.open = other === menu));
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !menu.open) return;
      menu.open = false;
      menu.querySelector("summary").focus();
    });
    menu.clear = () => {
      chosen.clear();
      menu.querySelectorAll("input").forEach((box) => (box.checked = false));
      tell();
    };
    tell();
    return menu;
  }

  const search = make("input", {
    type: "search",
    id: "search",
    placeholder: "Search cells",
    "aria-label": "Search cells",
    "aria-keyshortcuts": "/",
    autocomplete: "off",
    spellcheck: "false",
    input: () => {
      state.text = search.value;
      refresh();
    },
    keydown: (event) => {
      if (event.key === "Escape") {
        search.value = state.text = "";
        refresh();
        focusGrid();
        event.preventDefault();
      }
      if (event.key === "Enter" || event.key === "ArrowDown") {
        focusGrid();
        event.preventDefault();
      }
    },
  });
  const menus = AXES.map(axisMenu);
  const clear = make(
    "button.quiet",
    {
      type: "button",
      click: () => {
        menus.forEach((menu) => menu.clear());
        state.verdicts.clear();
        state.only = state.text = search.value = "";
        only.forEach((button) => button.setAttribute("aria-pressed", "false"));
        refresh();
      },
    },
    "Clear",
  );
  const only = [
    ["odd", "Not as expected", matrix.some((each) => each.odd)],
    ["moved", "Changed", Boolean(compared)],
  ]
    .filter((each) => each[2])
    .map(([what, title]) =>
      make(
        "button",
        {
          type: "button",
          "aria-pressed": "false",
          "data-only": what,
          click: () => {
            state.only = state.only === what ? "" : what;
            only.forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.only === state.only)));
            refresh();
          },
        },
        title,
      ),
    );

  function drawFilters() {
    const select = make(
      "select",
      {
        "aria-label": "Arrangement of the grid",
        change: () => {
          state.arrangement = Number(select.value);
          refresh();
        },
      },
      ARRANGEMENTS.map(([title], number) => make("option", { value: number }, title)),
    );
    byId("filters").append(search, ...menus.filter((_, axis) => used[axis].length > 1), select, clear);
    document.addEventListener("click", (event) => {
      document.querySelectorAll(".menu[open]").forEach((menu) => {
        if (!menu.contains(event.target)) menu.open = false;
      });
    });
  }

  function drawLegend() {
    const counts = new Map();
    matrix.forEach((each) => counts.set(each.worst, (counts.get(each.worst) || 0) + (passes(each, true) ? 1 : 0)));
    const order = [...data.severity, "gone"].filter((verdict) => counts.has(verdict));
    byId("legend").replaceChildren(
      ...order.map((verdict) =>
        make(
          "button",
          {
            type: "button",
            "aria-pressed": String(state.verdicts.has(verdict)),
            "data-verdict": verdict,
            click: () => {
              if (!state.verdicts.delete(verdict)) state.verdicts.add(verdict);
              refresh();
              byId("legend").querySelector(`[data-verdict="${verdict}"]`).focus();
            },
          },
          mark(verdict),
          verdict,
          make("span.count", null, String(counts.get(verdict))),
        ),
      ),
      ...only,
    );
  }

  // --- grid ------------------------------------------------------------------------------------

  let cells = []; // the grid as it is shown: rows of td elements or null
  let active = null; // the td that has the tab stop

  const keyOf = (at, axes) => axes.map((axis) => at[axis]).join("/");
  function ordered(some, axes) {
    const found = new Map(some.map((each) => [keyOf(each.at, axes), each.at]));
    return [...found.values()].sort((a, b) => {
      for (const axis of axes) {
        const difference = RANKS[axis][a[axis]] - RANKS[axis][b[axis]];
        if (difference) return difference;
      }
      return 0;
    });
  }

  function drawGrid() {
    const [, [rowGroup, rowLeaves], [group, leaves]] = ARRANGEMENTS[state.arrangement];
    const shown = matrix.filter((each) => passes(each));
    const total = matrix.length;
    byId("shown").textContent =
      shown.length === total ? count(total, "cell") : `${shown.length} of ${count(total, "cell")}`;
    clear.hidden = shown.length === total;
    const grid = byId("grid");
    cells = [];
    active = null;
    if (!shown.length) {
      grid.replaceChildren(make("p.empty", null, "No cell passes the filters."));
      return;
    }
    const columnAxes = [group, ...leaves];
    const columns = ordered(shown, columnAxes);
    const roomy = columns.length * 108 + 190 < grid.parentElement.clientWidth;
    grid.classList.toggle("roomy", roomy);
    const table = make("table", { role: "grid", "aria-label": "Cells" });
    table.append(drawHead(columns, group, leaves, roomy, rowLeaves));
    const places = new Map(
      shown.map((each) => [`${keyOf(each.at, [rowGroup, ...rowLeaves])}|${keyOf(each.at, columnAxes)}`, each]),
    );
    for (const block of ordered(shown, [rowGroup])) {
      const own = shown.filter((each) => each.at[rowGroup] === block[rowGroup]);
      const body = make("tbody");
      body.append(
        make(
          "tr",
          null,
          make(
            "th.block",
            { colspan: columns.length + 1, scope: "rowgroup" },
            make(
              "span",
              null,
              nameOf(rowGroup, block[rowGroup]),
              make("small", null, blockNote(rowGroup, block[rowGroup])),
            ),
          ),
        ),
      );
      for (const at of ordered(own, [rowGroup, ...rowLeaves])) {
        const label = labelOf(at, rowLeaves);
        const line = make("tr", null, make("th.row", { scope: "row", title: label }, label));
        const tds = [];
        columns.forEach((column, number) => {
          const each = places.get(`${keyOf(at, [rowGroup, ...rowLeaves])}|${keyOf(column, columnAxes)}`);
          const first = number > 0 && columns[number - 1][group] !== column[group];
          const td = drawCell(each, first, roomy);
          tds.push(each ? td : null);
          line.append(td);
        });
        cells.push(tds);
        body.append(line);
      }
      table.append(body);
    }
    grid.replaceChildren(table);
    setActive(cells.flat().find(Boolean));
  }

  function labelOf(at, axes) {
    const telling = axes.filter((axis, place) => place === 0 || used[axis].length > 1);
    return telling.map((axis) => nameOf(axis, at[axis])).join(" · ");
  }

  function blockNote(axis, value) {
    const found = axis === 0 && data.interpreters.find((each) => each.name === nameOf(0, value));
    return found ? found.summary : "";
  }

  function drawHead(columns, group, leaves, roomy, rowLeaves) {
    const groups = make("tr", null, make("th.corner", { rowspan: 2, scope: "col" }, AXES[rowLeaves[0]]));
    const leaf = make("tr");
    columns.forEach((column, number) => {
      if (!number || columns[number - 1][group] !== column[group]) {
        const span = columns.filter((other) => other[group] === column[group]).length;
        const name = nameOf(group, column[group]);
        const narrow = !roomy && span * 3 < name.length;
        groups.append(
          make(
            "th.group",
            { colspan: span, scope: "colgroup", title: name },
            make(narrow ? "div.upright" : "div", null, name),
          ),
        );
      }
      const [first, ...rest] = leaves.filter((axis, place) => place === 0 || used[axis].length > 1);
      const label = [
        make("b", null, nameOf(first, column[first])),
        ...rest.map((axis) => make("small", null, roomy ? make("br") : "  ", nameOf(axis, column[axis]))),
      ];
      leaf.append(
        make(
          "th.leaf",
          { scope: "col", title: labelOf(column, leaves) },
          make(roomy ? "div" : "div.upright", null, label),
        ),
      );
    });
    return make("thead", null, groups, leaf);
  }

  function drawCell(each, first, roomy) {
    const classes = `${first ? ".first" : ""}${each ? ".full" : ""}`;
    if (!each) return make(`td${classes}`, { role: "gridcell", "aria-label": "not run" });
    const moved = compared && each.was && each.was !== each.worst;
    const box = make(
      `span.box${each.odd ? ".odd" : ""}`,
      null,
      moved ? [mark(each.was, "small"), make("span.arrow", { "aria-hidden": "true" }, "→")] : null,
      mark(each.worst),
    );
    if (roomy) {
      const note = secondsOf(each) !== null ? time(secondsOf(each)) : "";
      const runs = each.now.length > 1 ? timesOf(each) : "";
      box.append(
        make("span.word", null, each.worst, " ", make("small", null, [runs, note].filter(Boolean).join(", "))),
      );
    } else if (each.now.length && each.hit < each.now.length) {
      box.append(make("span.times", null, timesOf(each)));
    }
    const td = make(
      `td${classes}`,
      { role: "gridcell", tabindex: -1, "aria-label": `${each.id}: ${sentence(each)}` },
      box,
    );
    td.point = each;
    return td;
  }

  function setActive(td) {
    if (active) active.tabIndex = -1;
    active = td || null;
    if (active) active.tabIndex = 0;
  }
  const focusGrid = () => active && active.focus();
  const tellPointed = (td) => (byId("pointed").textContent = td ? `${td.point.id}: ${sentence(td.point)}` : "");

  // To the next cell that there is, in one direction.
  function step(down, right) {
    let line = cells.findIndex((tds) => tds.includes(active));
    let column = cells[line].indexOf(active);
    for (;;) {
      line += down;
      column += right;
      if (line < 0 || line >= cells.length || column < 0 || column >= cells[line].length) return;
      if (cells[line][column]) break;
    }
    setActive(cells[line][column]);
    focusGrid();
  }
  function jump(event) {
    const tds = event.ctrlKey ? cells.flat() : cells.find((line) => line.includes(active));
    const found = tds.filter(Boolean);
    setActive(event.key === "Home" ? found[0] : found[found.length - 1]);
    focusGrid();
  }

  function listenToGrid() {
    const grid = byId("grid");
    const tdOf = (event) => event.target.closest && event.target.closest("td.full");
    grid.addEventListener("click", (event) => {
      const td = tdOf(event);
      if (!td) return;
      setActive(td);
      open(td.point);
    });
    grid.addEventListener("mouseover", (event) => tellPointed(tdOf(event)));
    grid.addEventListener("mouseleave", () => tellPointed(null));
    grid.addEventListener("focusin", (event) => tellPointed(tdOf(event)));
    grid.addEventListener("keydown", (event) => {
      if (!tdOf(event) || event.altKey || event.metaKey) return;
      const moves = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
      if (moves[event.key]) step(...moves[event.key]);
      else if (event.key === "Home" || event.key === "End") jump(event);
      else if (event.key === "Enter" || event.key === " ") open(active.point);
      else return;
      event.preventDefault();
    });
    document.addEventListener("keydown", (event) => {
      const typing = event.target.closest && event.target.closest("input, select, textarea, dialog");
      if (event.key !== "/" || typing || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      search.focus();
      search.select();
    });
  }

  function refresh() {
    drawLegend();
    drawGrid();
  }

  // --- an opened cell --------------------------------------------------------------------------

  const dialog = byId("cell");
  let opened = null;

  function open(each, row) {
    opened = each;
    row = row || (each.now.length ? worst(each.now) : null);
    const neighbours = cells
      .flat()
      .filter(Boolean)
      .map((td) => td.point);
    const place = neighbours.indexOf(each);
    const go = (by) => () => {
      open(neighbours[place + by]);
      // The button that was pressed is gone: its successor takes the focus, for the next press.
      const [previous, next] = dialog.querySelectorAll(".cellbar button");
      const again = by < 0 ? previous : next;
      (again.disabled ? dialog.querySelector(".close") : again).focus();
    };
    const button = (text, click, disabled) => make("button.quiet", { type: "button", disabled, click }, text);
    const bar = make(
      "div.cellbar",
      null,
      button("Previous", go(-1), place < 1),
      button("Next", go(1), place < 0 || place >= neighbours.length - 1),
      make("span.place", null, place < 0 ? "" : `${place + 1} of ${neighbours.length} shown`),
      make("button.quiet.close", { type: "button", autofocus: true, click: () => dialog.close() }, "Close"),
    );
    dialog.replaceChildren(bar, make("div.opened", null, drawOpened(each, row)));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    setAddress(`${addressHere()}#cell=${encodeURIComponent(each.id)}`);
  }

  const addressHere = () => location.href.split("#")[0];
  function setAddress(address) {
    try {
      history.replaceState(null, "", address);
    } catch {
      /* not where the page is framed */
    }
  }
  dialog.addEventListener("close", () => {
    setAddress(addressHere());
    const td = cells.flat().find((each) => each && each.point === opened);
    if (td) {
      setActive(td);
      focusGrid();
    }
  });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });

  const section = (title, ...children) => {
    const shown = children.flat(Infinity).filter(Boolean);
    return shown.length ? make("section", null, make("h3", null, title), shown) : null;
  };

  function drawOpened(each, row) {
    const verdict = row ? row.verdict : "gone";
    const detail = (row && row.detail) || {};
    const title = make(
      "div.title",
      null,
      mark(verdict),
      make(
        "h2",
        { id: "cell-title" },
        `${verdict === "gone" ? "No result" : verdict} `,
        make("span.id", null, each.id),
      ),
    );
    return [
      title,
      row ? make("p.why", null, row.why) : make("p.why", null, "This cell has a result in the earlier report alone."),
      row && !row.expected ? make("p.why.tag.wrong", null, "Not as expected.") : null,
      drawBefore(each),
      each.now.length > 1 ? drawRuns(each, row) : null,
      row && row.role === "matrix" ? section("Run exactly this cell", drawCommand(each)) : null,
      drawWaits(detail),
      drawCauses(detail.causes),
      drawThreads(detail),
      detail.gaps && detail.gaps.length
        ? section(
            "What is missing for a proof",
            make(
              "ul.findings",
              null,
              detail.gaps.map((gap) => make("li", null, gap)),
            ),
          )
        : null,
      detail.raised
        ? section(
            "Raised",
            make("p", null, detail.raised[0]),
            make("pre", { tabindex: 0 }, data.texts[detail.raised[1]]),
          )
        : null,
      detail.imports ? section("Imports, by when they began", make("div.tree", null, drawTree(detail.imports, detail.begun))) : null,
      section("Measured", facts((detail.facts || []).map((number) => data.facts[number]))),
      section("Output", drawOutput("standard output", detail.stdout), drawOutput("standard error", detail.stderr)),
      section("Environment", drawEnvironment(each, detail)),
      section("Libraries and packages", drawLibraries(detail)),
    ];
  }

  function drawRuns(each, row) {
    return make(
      "div.runs",
      { role: "group", "aria-label": "Runs" },
      each.now.map((other) =>
        make(
          "button.quiet",
          {
            type: "button",
            "aria-pressed": String(other === row),
            click: () => open(each, other),
          },
          mark(other.verdict, "small"),
          `run ${other.repeat}`,
        ),
      ),
    );
  }

  function drawBefore(each) {
    if (!compared) return null;
    const was = each.before.length ? worst(each.before) : null;
    return [
      make(
        "p.was",
        null,
        "Before:",
        was ? mark(was.verdict, "small") : null,
        was ? `${was.verdict}, ${was.why}` : "not run",
      ),
      each.changes.map(({ group, before, after }) =>
        make(
          "p.was",
          null,
          make(`span.tag.${group.direction}`, null, group.kind),
          group.sentence + (before || after ? ` (${before || "nothing"} → ${after || "nothing"})` : ""),
        ),
      ),
    ];
  }

  function drawCommand(each) {
    const choices = each.at.map((value, axis) => data.axes[AXES[axis]][value]);
    const command = ["deadlock-matrix run", ...choices.map((choice) => `  ${choice.option}`)].join(" \\\n");
    const pre = make("pre", { tabindex: 0 }, command);
    const copy = make(
      "button.quiet",
      {
        type: "button",
        click: async () => {
          try {
            await navigator.clipboard.writeText(command);
            copy.textContent = "Copied";
          } catch {
            getSelection().selectAllChildren(pre);
            copy.textContent = "Selected";
          }
        },
      },
      "Copy",
    );
    const file = choices[0].file;
    return [
      make("div.command", null, pre, copy),
      file ? [make("p.note", null, "with this in interpreters.json:"), make("pre", null, file)] : null,
    ];
  }

  function drawCauses(recognised) {
    if (!recognised || !recognised.length) return null;
    return section(
      "Known causes",
      make(
        "ul.entries",
        null,
        recognised.map((each) =>
          make(
            "li",
            null,
            drawCause(data.causes[each.cause], each.certainty === "possible"),
            more(
              "What was seen",
              make(
                "ul.findings",
                null,
                each.seen.map((text) => make("li", null, text)),
                each.unknown.map((text) => make("li", null, `not known: ${text}`)),
              ),
            ),
          ),
        ),
      ),
    );
  }

  function drawWaits(detail) {
    const hung = detail.hung;
    if (!hung || !hung.nodes) return null;
    const graph = make(
      "div.graph",
      { role: "img", tabindex: 0, "aria-label": hung.sentence },
      make("p.note", null, "Drawing …"),
    );
    drawGraph(graph, hung);
    const inWords = hung.links.map(([tail, head, relation, source]) =>
      make("li", null, `${hung.nodes[tail][2]} ${relation} ${hung.nodes[head][2]}`, make("small", null, source)),
    );
    const likely = (hung.assumptions || []).length > 0;
    const title = `${likely ? "Likely " : ""}${hung.partial ? "Partial " : ""}`.toLowerCase();
    return section(
      "Who waits for whom",
      title !== "" && make("p", null, `${title}deadlock: ${hung.sentence}`),
      likely &&
        make("ul.findings", null, hung.assumptions.map((text) => make("li", null, `assumed: ${text}`))),
      graph,
      more("In words, with where it was read", make("ol.words", null, inWords)),
      more(
        `${count(hung.conditions.length, "condition")} of the ${hung.kind} proof`,
        table(["condition", "of", "what was found"], hung.conditions),
      ),
    );
  }

  function drawThreads(detail) {
    const hung = detail.hung;
    if (!hung)
      return detail.left_out
        ? section("Evidence", make("p.note", null, "It is not in this page, but in the report."))
        : null;
    const processes = (hung.processes || []).map((process) => [
      make("p.note", null, `${process.title}: ${count(process.threads.length, "thread")}, ${process.stacks}`),
      make("div.threads", null, alike(process.threads).map(drawThread)),
    ]);
    return section(
      "Threads, innermost frame first",
      processes,
      hung.machine ? make("p.note", null, hung.machine) : null,
    );
  }

  // Threads that show the same are shown once.
  function alike(threads) {
    const groups = new Map();
    for (const thread of threads) {
      const key = JSON.stringify([
        thread.python,
        thread.native,
        thread.stuck,
        thread.python ? thread.does : thread.facts.slice(1),
      ]);
      if (groups.has(key)) groups.get(key).others.push(thread.title);
      else groups.set(key, { thread, others: [] });
    }
    return [...groups.values()];
  }

  function drawThread({ thread, others }) {
    const badges = [thread.stuck ? "can never go on" : null, thread.holds_gil ? "holds the GIL" : null].filter(Boolean);
    return make(
      `article.thread${thread.stuck ? ".stuck" : ""}`,
      null,
      make(
        "header",
        null,
        make("h4", null, thread.title),
        others.length ? make("p.note", { title: others.join(", ") }, `and ${others.length} alike`) : null,
        badges.length
          ? make(
              "p.badges",
              null,
              badges.map((text) => make("span", null, text)),
            )
          : null,
        thread.does ? make("p", null, thread.does) : null,
      ),
      thread.imports
        ? [
            make("h4", null, "Imports under way"),
            make(
              "ol.frames",
              null,
              [...thread.imports].reverse().map((text) => make("li", null, text)),
            ),
          ]
        : null,
      thread.python
        ? [make("h4", null, "Python"), drawFrames(thread.python)]
        : make("p.note", null, "No Python frame."),
      thread.native ? more("Native", drawFrames(thread.native)) : null,
      thread.facts ? more("As the kernel shows it", facts(thread.facts)) : null,
    );
  }

  function drawFrames(numbers) {
    const list = make("ol.frames");
    let machinery = [];
    const item = ([name, where]) => make("li", null, name, make("span.where", null, data.texts[where]));
    const flush = () => {
      if (machinery.length)
        list.append(
          make(
            "li",
            null,
            make(
              "details",
              null,
              make("summary", null, `${count(machinery.length, "frame")} of import machinery`),
              make("ol", null, machinery.map(item)),
            ),
          ),
        );
      machinery = [];
    };
    for (const frame of numbers.map((number) => data.frames[number])) {
      if (frame[2]) {
        machinery.push(frame);
        continue;
      }
      flush();
      list.append(item(frame));
    }
    flush();
    return list;
  }

  // The last parts of a path: the whole one stands in a tooltip.
  const shortened = (path) => {
    const parts = path.split(/[/\\]/);
    return parts.length > 4 ? `…/${parts.slice(-3).join("/")}` : path;
  };

  function drawTree(branches, begun) {
    const lists = new Map([[-1, make("ul")]]);
    branches.forEach(([number, parent], own) => {
      const milliseconds = begun[own];
      const [module, , where] = data.steps[number];
      const item = make(
        "li",
        null,
        make(
          "div.step",
          null,
          make("span.mono", null, module),
          make("span.when", null, milliseconds === null ? "" : time(milliseconds / 1000)),
          make("span.where", { title: data.texts[where] }, shortened(data.texts[where])),
        ),
      );
      let list = lists.get(parent);
      if (!list.parentElement && parent >= 0) lists.get(`${parent}li`).append(list);
      list.append(item);
      lists.set(`${own}li`, item);
      lists.set(own, make("ul"));
    });
    return lists.get(-1);
  }

  const drawOutput = (title, number) =>
    number === undefined ? null : [make("h4", null, title), make("pre", { tabindex: 0 }, data.texts[number])];

  function drawEnvironment(each, detail) {
    const told = each.at.flatMap(
      (value, axis) =>
        data.axes[AXES[axis]][value].facts?.map(([label, text]) => [`${AXES[axis]} ${label}`, text]) || [],
    );
    const variables = listed(detail.environment);
    return [
      facts(told),
      variables.length ? more(count(variables.length, "variable"), plainList(variables)) : null,
      detail.command
        ? more(
            "The probe's command line",
            make("pre", null, detail.command.map((number) => data.texts[number]).join(" ")),
          )
        : null,
    ];
  }

  const listed = (number) =>
    number === undefined || number === null ? [] : data.lists[number].map((text) => data.texts[text]);

  function drawLibraries(detail) {
    const libraries = detail.libraries;
    const unknown = libraries && libraries.reason;
    const paths = unknown ? [] : listed(libraries);
    const packages = listed(detail.packages);
    return [
      packages.length ? make("p", null, `Modules loaded, by package: ${packages.join(", ")}`) : null,
      unknown ? make("p.note", null, `Libraries not known: ${unknown}`) : null,
      paths.length
        ? more(`${paths.length} native ${paths.length === 1 ? "library" : "libraries"}`, plainList(paths))
        : null,
    ];
  }

  // --- the wait-for graph ----------------------------------------------------------------------

  const SVG = "http://www.w3.org/2000/svg";
  const DRAWN = new Set(["svg", "g", "path", "polygon", "polyline", "ellipse", "text", "title"]);
  const KEPT = [
    "class",
    "d",
    "points",
    "cx",
    "cy",
    "rx",
    "ry",
    "x",
    "y",
    "transform",
    "viewBox",
    "text-anchor",
    "width",
    "height",
  ];
  let graphviz = null;

  // Graphviz's SVG, copied element by element, without its colours: those are the page's.
  function adopt(node) {
    if (node.nodeType === Node.TEXT_NODE) return document.createTextNode(node.data);
    if (!DRAWN.has(node.localName)) return null;
    const copy = document.createElementNS(SVG, node.localName);
    for (const name of KEPT) if (node.hasAttribute(name)) copy.setAttribute(name, node.getAttribute(name));
    copy.append(...[...node.childNodes].map(adopt).filter(Boolean));
    return copy;
  }

  const quoted = (text) => `"${text.replaceAll("&", "&amp;").replaceAll("\\", "\\\\").replaceAll('"', '\\"')}"`;
  const broken = (text) =>
    text
      .match(/.{1,26}(?:\s+|$)|\S{1,26}/g)
      .map((line) => quoted(line.trim()).slice(1, -1))
      .join("\\n");
  const SHAPES = { thread: "box", process: "folder", tree: "folder", child: "folder", pipe: "box" };

  function dotOf(hung) {
    const nodes = hung.nodes.map(
      ([, kind, label, root], number) =>
        `n${number} [label="${broken(label)}", shape=${SHAPES[kind] || "ellipse"}, class="${kind} ${root ? "root" : ""}"${kind === "thread" ? ", style=rounded" : ""}];`,
    );
    const links = hung.links.map(
      ([tail, head, relation]) =>
        `n${tail} -> n${head} [label=${quoted(` ${relation} `)}, class="${relation === "held by" || relation === "waits for" ? "held" : "made"}"];`,
    );
    return `digraph { graph [bgcolor=transparent, rankdir=TB, nodesep=0.35, ranksep=0.45, fontname=Arial];
      node [fontname=Arial, fontsize=12, margin="0.24,0.1"]; edge [fontname=Arial, fontsize=10.5, arrowsize=0.7];
      ${nodes.join("\n")}\n${links.join("\n")} }`;
  }

  async function drawGraph(place, hung) {
    try {
      graphviz = graphviz || GraphvizLibrary.Graphviz.load();
      const text = (await graphviz).dot(dotOf(hung));
      const trusted = policy ? policy.createHTML(text) : text;
      const drawn = new DOMParser().parseFromString(trusted, "image/svg+xml").documentElement;
      const svg = adopt(drawn);
      svg.setAttribute("aria-hidden", "true");
      place.replaceChildren(svg);
      place.scrollLeft = (place.scrollWidth - place.clientWidth) / 2;
    } catch (error) {
      place.replaceChildren(
        make("p.note", null, `The graph cannot be drawn here (${error.message}); it stands below in words.`),
      );
    }
  }
  const hasGraphs = typeof GraphvizLibrary !== "undefined";
  const policy =
    hasGraphs && window.trustedTypes ? window.trustedTypes.createPolicy("graph", { createHTML: (text) => text }) : null;

  // --- sections --------------------------------------------------------------------------------

  function fill(id, content) {
    const shown = content.flat(Infinity).filter(Boolean);
    byId(id).hidden = !shown.length;
    byId(id).append(...shown);
  }

  const cellLink = (each, text) => make("button.link", { type: "button", click: () => open(each) }, text || each.id);
  function cellLinks(some) {
    const different = [...new Set(some)];
    const place = make(
      "p.cells",
      null,
      different.slice(0, SHOWN).map((each) => cellLink(each)),
    );
    if (different.length > SHOWN) {
      const rest = make(
        "button.link",
        {
          type: "button",
          click: () => rest.replaceWith(...different.slice(SHOWN).map((each) => cellLink(each))),
        },
        `and ${different.length - SHOWN} more`,
      );
      place.append(rest);
    }
    return place;
  }

  const lastWords = (row) =>
    row.detail && row.detail.last_words !== undefined
      ? make("pre.last", { tabindex: 0 }, data.texts[row.detail.last_words])
      : null;

  function drawProblems() {
    const groups = new Map();
    const told = (row) => row.role === "matrix" && row.verdict !== "unavailable";
    const odd = rows.filter((row) => told(row) && (row.verdict !== "ok" || !row.expected));
    odd.sort((a, b) => Number(a.expected) - Number(b.expected) || severity(a.verdict) - severity(b.verdict));
    for (const row of odd) {
      const key = `${row.verdict}\n${row.expected}\n${row.why}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(row);
    }
    const items = [...groups.values()].map((group) =>
      make(
        "li",
        null,
        make(
          "div.told",
          null,
          mark(group[0].verdict),
          make(
            "div",
            null,
            make(
              "h3",
              null,
              `${group[0].verdict}: ${count(group.length, "run")}${group[0].expected ? ", as expected" : ""}`,
            ),
            make("p", null, group[0].why),
            lastWords(group[0]),
            cellLinks(group.map((row) => row.point)),
          ),
        ),
      ),
    );
    const list = make("ul.entries", null, items.slice(0, SHOWN));
    fill(
      "problems",
      items.length
        ? [
            list,
            items.length > SHOWN
              ? more(`${items.length - SHOWN} more`, make("ul.entries", null, items.slice(SHOWN)))
              : null,
          ]
        : [],
    );
  }

  const reference = (text) =>
    /^https:\/\/[^\s]+$/.test(text) ? make("a", { href: text, rel: "noopener noreferrer" }, text) : text;

  function drawCause(cause, possible) {
    return [
      make("h3", null, `${possible ? "Possible: " : ""}${cause.title}`),
      make("p", null, cause.explanation),
      make(
        "ul.remedies",
        null,
        cause.remedies.map((remedy) =>
          make(
            "li",
            null,
            make(`span.tag.${remedy.helps ? "helps" : "muted"}`, null, remedy.helps ? "helps" : "does not help"),
            make(
              "div",
              null,
              `${remedy.advice} `,
              make("span.note", null, `(${remedy.confirmed})`),
              remedy.settings.map((text) => make("div.mono", null, text)),
              remedy.code ? make("pre", null, remedy.code) : null,
            ),
          ),
        ),
      ),
      cause.references.length
        ? make(
            "p.note.see",
            null,
            "See ",
            cause.references.map((text, number) => [number ? ", " : "", reference(text)]),
          )
        : null,
    ];
  }

  function drawSections() {
    fill(
      "causes",
      data.causes.some((cause) => cause.rows.length)
        ? [
            make(
              "ul.entries.causes",
              null,
              data.causes
                .filter((cause) => cause.rows.length)
                .map((cause) =>
                  make("li", null, drawCause(cause), cellLinks(cause.rows.map((number) => rows[number].point))),
                ),
            ),
          ]
        : [],
    );
    const tested = data.claims.filter((claim) => claim.answers.some((answer) => !answer[0].startsWith("not")));
    const others = data.claims.filter((claim) => !tested.includes(claim));
    fill(
      "claims",
      tested.length
        ? [
            make("ul.entries", null, tested.map(drawClaim)),
            others.length
              ? more(
                  `${count(others.length, "claim")} not tested by this run`,
                  make("ul.entries", null, others.map(drawClaim)),
                )
              : null,
          ]
        : [],
    );
    fill(
      "cures",
      data.cures.length
        ? [table(["hangs under the baseline", "cured by", "not by", "something else under"], data.cures)]
        : [],
    );
    fill(
      "times",
      data.times.length
        ? [
            make("p.note", null, "Median of the entry alone, called from the main thread of a fresh process."),
            make(
              "div.tables",
              null,
              data.times.map((each) =>
                table(
                  ["entry", ...each.layouts],
                  each.rows.map(([entry, times]) => [entry, ...times]),
                  each.interpreter,
                  true,
                ),
              ),
            ),
          ]
        : [],
    );
    data.studies.forEach((study, number) =>
      fill(
        `tables-${number + 1}`,
        study.tables.map((each) =>
          table(
            each.head,
            each.rows.map(([name, interpreters, fields]) => [
              name,
              interpreters,
              ...fields.map(([text, verdict]) =>
                verdict ? make("span.fate", null, mark(verdict, "small"), text) : text,
              ),
            ]),
          ),
        ),
      ),
    );
    for (const [section, lines] of [
      ["rates", data.rates],
      ["unavailable", data.unavailable],
    ]) {
      const items = lines.map((line) => make("li", null, line));
      fill(section, items.length ? [make("ul.findings", null, items)] : []);
    }
    fill(
      "interpreters",
      data.interpreters.length ? [make("ul.entries", null, data.interpreters.map(drawInterpreter))] : [],
    );
    fill("controls", drawControls());
    fill("run", [
      facts(data.run),
      data.notes.length
        ? make(
            "ul.findings",
            null,
            data.notes.map((note) => make("li", null, note)),
          )
        : null,
    ]);
  }

  function table(head, body, caption, numbers) {
    const field = (text, place) => make(`td${numbers && place ? ".number" : ""}`, null, text);
    return make(
      "div.scroll",
      { tabindex: 0, role: "group", "aria-label": caption || head[0] },
      make(
        "table.table",
        null,
        caption ? make("caption", null, caption) : null,
        make(
          "thead",
          null,
          make(
            "tr",
            null,
            head.map((text, place) => make(`th${numbers && place ? ".number" : ""}`, { scope: "col" }, text)),
          ),
        ),
        make(
          "tbody",
          null,
          body.map((fields) => make("tr", null, fields.map(field))),
        ),
      ),
    );
  }

  function drawClaim(claim) {
    const answer = ([word, told, names, cells]) => {
      const untested = word.startsWith("not");
      return make(
        "li",
        null,
        make(`span.tag.${untested ? "muted" : word}`, null, untested ? "not tested" : word),
        make(
          "div",
          null,
          told,
          make("span.note", null, ` on ${names.join(", ")}`),
          cells.length
            ? more(`rests on ${count(cells.length, "run")}`, cellLinks(cells.map((number) => rows[number].point)))
            : null,
        ),
      );
    };
    return make(
      "li",
      null,
      make("h3", null, claim.statement),
      make("p.note", null, `claimed by ${claim.source}`),
      make("ul.answers", null, claim.answers.map(answer)),
    );
  }

  function drawInterpreter(each) {
    return make(
      "li",
      null,
      make("h3", null, each.name),
      make("p", null, each.summary),
      each.findings.length
        ? make(
            "ul.findings",
            null,
            each.findings.map((text) => make("li", null, text)),
          )
        : null,
      facts(each.facts),
      each.libraries.length
        ? more(
            `${each.libraries.length} native ${each.libraries.length === 1 ? "library" : "libraries"}`,
            table(["library", "loaded by", "file"], each.libraries),
          )
        : null,
      each.packages.length ? more(count(each.packages.length, "package"), plainList(each.packages)) : null,
    );
  }

  function drawControls() {
    const controls = rows.filter((row) => row.role !== "matrix");
    if (!controls.length && !data.missing_controls.length) return [];
    return [
      make(
        "ul.entries",
        null,
        controls.map((row) =>
          make(
            "li",
            null,
            make(
              "div.told",
              null,
              mark(row.verdict),
              make(
                "div",
                null,
                make(`span.tag.${row.expected ? "right" : "wrong"}`, null, row.expected ? "right" : "failed"),
                cellLink(row.point),
                make("p.note", null, row.why),
              ),
            ),
          ),
        ),
        data.missing_controls.map((name) => make("li", null, make("span.tag.wrong", null, "not run"), name)),
      ),
    ];
  }

  function drawChanges() {
    if (!compared) {
      byId("changes").hidden = true;
      return;
    }
    const known = new Map(matrix.map((each) => [each.id, each]));
    const links = (cells) => {
      const shown = cells.filter(([id]) => id);
      const line = ([id, before, after]) => [
        known.has(id) ? cellLink(known.get(id)) : id,
        before || "nothing",
        after || "nothing",
      ];
      const body = (some) => table(["cell", "before", "now"], some.map(line));
      return shown.length
        ? [
            body(shown.slice(0, SHOWN)),
            shown.length > SHOWN ? more(`${shown.length - SHOWN} more`, body(shown.slice(SHOWN))) : null,
          ]
        : null;
    };
    const order = ["worse", "better", "other"];
    const groups = [...compared.changes].sort((a, b) => order.indexOf(a.direction) - order.indexOf(b.direction));
    fill("changes", [
      facts([
        ["before", compared.before],
        ["now", compared.after],
      ]),
      make("p.shown", null, compared.headline),
      compared.interpreters.length ? table(["interpreter", "before", "now"], compared.interpreters) : null,
      make(
        "ul.entries",
        null,
        groups.map((group) =>
          make(
            "li",
            null,
            make("h3", null, make(`span.tag.${group.direction}`, null, group.direction), ` ${group.kind}`),
            make("p", null, group.sentence),
            links(group.cells),
          ),
        ),
      ),
    ]);
  }

  // --- theme, links ----------------------------------------------------------------------------

  function setUpTheme() {
    const button = byId("theme");
    const dark = () =>
      (document.documentElement.dataset.theme ||
        (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const tell = () => (button.textContent = dark() ? "Light" : "Dark");
    try {
      // A page on disk may be forbidden to remember anything.
      const kept = localStorage.getItem("deadlock-matrix-theme");
      if (kept === "light" || kept === "dark") document.documentElement.dataset.theme = kept;
    } catch {
      /* then it follows the system each time */
    }
    button.addEventListener("click", () => {
      document.documentElement.dataset.theme = dark() ? "light" : "dark";
      try {
        localStorage.setItem("deadlock-matrix-theme", document.documentElement.dataset.theme);
      } catch {
        /* as above */
      }
      tell();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
    tell();
  }

  function drawNavigation() {
    const sections = [...document.querySelectorAll("main > section:not([hidden])")];
    byId("nav").append(
      ...sections.map((each) => make("a", { href: `#${each.id}` }, each.dataset.short || each.querySelector("h2").textContent)),
    );
  }

  function openLinked() {
    const found = /^#cell=(.+)$/.exec(location.hash);
    if (!found) return;
    let id = "";
    try {
      id = decodeURIComponent(found[1]);
    } catch {
      return;
    }
    const each = [...points.values()].find((other) => other.id === id);
    if (each) open(each);
  }

  setUpTheme();
  drawFilters();
  refresh();
  listenToGrid();
  drawProblems();
  drawChanges();
  drawSections();
  drawNavigation();
  addEventListener("hashchange", openLinked);
  openLinked();
})();
