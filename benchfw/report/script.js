"use strict";

/* Sorting, filtering, another metric, another matrix, the theme. Text goes into the page as text alone. */
(() => {
  const numbers = JSON.parse(document.getElementById("numbers").textContent);

  for (const element of document.querySelectorAll(".needs-script")) element.hidden = false;

  const theme = document.getElementById("theme");
  const themes = ["system", "light", "dark"];
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(document.documentElement.dataset.theme || "system") + 1) % themes.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    theme.textContent = `theme: ${next}`;
  });

  /* A number of a cell: `≈ +1.2 [-0.5, 2.9]` is 1.2, `<0.001` is 0.001, an empty cell is nothing. */
  const number = (text) => {
    const found = text.match(/-?\d+(\.\d+)?/);
    return found ? parseFloat(found[0]) : null;
  };

  const compare = (numeric, direction) => (one, other) => {
    const [a, b] = [one.key, other.key];
    if (numeric) {
      if (a === null || b === null) return (a === null) - (b === null);
      return direction * (a - b);
    }
    return direction * a.localeCompare(b, "en", { numeric: true });
  };

  const sort = (head, direction) => {
    const table = head.closest("table");
    const body = table.tBodies[0];
    const numeric = head.classList.contains("n");
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
    const rows = Array.from(body.rows, (row) => {
      const text = row.cells[head.cellIndex].textContent;
      return { row, key: numeric ? number(text) : text };
    });
    body.append(...rows.sort(compare(numeric, direction)).map((one) => one.row));
  };

  const grids = Array.from(document.querySelectorAll(".grid"), (grid) => {
    const table = grid.querySelector("table");
    const rows = Array.from(table.tBodies[0].rows);
    const search = grid.querySelector("input");
    const filters = Array.from(grid.querySelectorAll("select.filter"));
    const told = grid.querySelector("output");
    const heads = Array.from(table.tHead.rows[0].cells);

    const filter = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.textContent.toLowerCase();
        const fits = filters.every((f) => !f.value || row.cells[f.dataset.column].textContent.trim() === f.value.trim());
        row.hidden = !(fits && words.every((word) => text.includes(word)));
        shown += !row.hidden;
      }
      told.textContent = shown === rows.length ? `${shown} lines` : `${shown} of ${rows.length} lines`;
    };

    const show = (metric) => {
      const { first, metrics } = numbers.grids[grid.dataset.grid];
      if (!metrics[metric]) return;
      const variant = metrics[metric];
      const footnote = document.querySelector(`[data-footnote="${grid.dataset.grid}"]`);
      if (footnote) footnote.textContent = variant.footnote;
      variant.heads.forEach((text, i) => { heads[first + i].querySelector("button").textContent = text; });
      rows.forEach((row, place) => {
        variant.rows[place].forEach((text, i) => {
          const cell = row.cells[first + i];
          const mark = variant.marks[place][i];
          cell.textContent = text;
          cell.className = mark === "." ? "n" : `n ${mark}`;
        });
      });
      const sorted = heads.find((head) => head.hasAttribute("aria-sort"));
      if (sorted) sort(sorted, sorted.getAttribute("aria-sort") === "ascending" ? 1 : -1);
      filter();
    };

    for (const head of heads) {
      head.querySelector("button").addEventListener("click", () => {
        const now = head.getAttribute("aria-sort");
        const first = head.classList.contains("n") ? -1 : 1;
        sort(head, now === null ? first : now === "ascending" ? -1 : 1);
      });
    }
    search.addEventListener("input", filter);
    for (const one of filters) one.addEventListener("change", filter);
    filter();
    return { choice: grid.querySelector("select.metric"), show };
  });

  for (const { choice } of grids) {
    if (!choice) continue;
    choice.addEventListener("change", () => {
      for (const other of grids) {
        if (!other.choice || !Array.from(other.choice.options).some((option) => option.value === choice.value)) continue;
        other.choice.value = choice.value;
        other.show(choice.value);
      }
    });
  }

  const cell = (tag, text, name, title) => {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    if (title) made.title = title;
    return made;
  };

  const head = (text, scope) => {
    const made = cell("th", text);
    made.scope = scope;
    return made;
  };

  const matrix = (figure, place, name) => {
    const [key, n, counts] = numbers.confusions.lines[place];
    const classes = numbers.confusions.classes[key];
    const table = document.createElement("table");
    table.createCaption().textContent = `${name}, n = ${n}`;
    const top = table.createTHead().insertRow();
    top.append(cell("td", ""), ...classes.map((text) => head(text, "col")));
    const body = table.createTBody();
    classes.forEach((text, r) => {
      const row = counts.slice(r * classes.length, (r + 1) * classes.length);
      const of = row.reduce((sum, count) => sum + count, 0);
      body.insertRow().append(head(text, "row"), ...row.map((count, c) => {
        const share = of ? count / of : 0;
        const title = `${count} of ${of} of ${text} taken for ${classes[c]}`;
        return cell("td", count ? `${Math.round(100 * share)}` : "", `q${Math.round(10 * share)}`, title);
      }));
    });
    figure.querySelector("table").replaceWith(table);
  };

  for (const choice of document.querySelectorAll("select.line")) {
    const figure = document.querySelector(`.confusion[data-side="${choice.dataset.side}"]`);
    choice.addEventListener("change", () => {
      matrix(figure, Number(choice.value), choice.selectedOptions[0].textContent);
    });
  }

  /* A link to something that is folded away opens it. */
  const reveal = () => {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    for (let one = target && target.closest("details"); one; one = one.parentElement.closest("details")) one.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", reveal);
  reveal();

  const closed = new Set();
  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details:not([open])")) {
      closed.add(details);
      details.open = true;
    }
  });
  addEventListener("afterprint", () => {
    for (const details of closed) details.open = false;
    closed.clear();
  });
})();
