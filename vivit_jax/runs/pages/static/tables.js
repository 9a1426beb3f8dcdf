// Lets the tables of class "sortable" be sorted by a click on a heading. Cells with data-value are sorted by that number.
"use strict";
(() => {
  function key(row, column) {
    const cell = row.cells[column];
    const value = cell.dataset.value;
    return value === undefined ? cell.textContent.trim() : value === "" ? -Infinity : Number(value);
  }

  function sort(table, column, heading) {
    const numbers = table.tBodies[0].rows[0]?.cells[column].dataset.value !== undefined; // of which the highest come first
    const ascending = heading.hasAttribute("aria-sort") ? heading.getAttribute("aria-sort") === "descending" : !numbers;
    for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
    heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
    const rows = [...table.tBodies[0].rows].map((row) => [key(row, column), row]);
    const compared = (a, b) => (typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b)));
    rows.sort(([a], [b]) => (ascending ? compared(a, b) : compared(b, a)));
    table.tBodies[0].append(...rows.map(([, row]) => row));
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      if (!heading.textContent) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.onclick = () => sort(table, column, heading);
      heading.append(button);
    });
  }
})();
