"use strict";
// Sorts and filters the tables; without it the page has the same content.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.tHead.querySelectorAll("th").forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = row => row.cells[column].dataset.sort ?? row.cells[column].innerText;
      const order = new Intl.Collator(undefined, { numeric: true });
      const byKey = (a, b) => {
        const [x, y] = [key(a), key(b)];
        return isNaN(x) || isNaN(y) ? order.compare(x, y) : x - y;
      };
      const rows = [...body.rows].sort(byKey);
      body.append(...(descending ? rows.reverse() : rows));
    });
  });
  const filter = document.createElement("input");
  filter.type = "search";
  filter.placeholder = "Filter: a word of the title, curriculum or unit";
  filter.setAttribute("aria-label", filter.placeholder);
  filter.addEventListener("input", () => {
    table.classList.toggle("filtered", filter.value.trim() !== "");
    const words = filter.value.toLowerCase().split(/\s+/);
    for (const row of body.rows) {
      const text = row.innerText.toLowerCase();
      row.hidden = !words.every(word => text.includes(word));
    }
  });
  table.closest(".tables").prepend(filter);
}
