// Line icons, 24 × 24, drawn for this page.

const SVG = "http://www.w3.org/2000/svg";

/** @type {Record<string, string[]>} */
const PATHS = {
  back: ["M14.500 5.500 8 12l6.500 6.500"],
  left: ["M14 6.500 8.500 12l5.500 5.500"],
  right: ["M10 6.500 15.500 12 10 17.500"],
  down: ["M12 5v13", "M6.500 13 12 18.500 17.500 13"],
  send: ["M12 19V5.500", "M6 11l6-6 6 6"],
  stop: ["M8 8h8v8H8z"],
  copy: ["M9 9h10v11H9z", "M15 9V4.500H5V15.500h4"],
  edit: ["M5 19l.8-3.800L15.700 5.300a1.600 1.600 0 0 1 2.300 0l.7.7a1.600 1.600 0 0 1 0 2.300L8.800 18.200z", "M13.800 7.200l3 3"],
  again: ["M19 12a7 7 0 1 1-2.100-5", "M19 4v4h-4"],
  onward: ["M4 12h11", "M10.500 7l5 5-5 5", "M20 6v12"],
  more: ["M6 12h.01", "M12 12h.01", "M18 12h.01"],
  pin: ["M9 4h6l-.8 6 3.300 3.500H6.500L9.800 10z", "M12 13.500V20"],
  trash: ["M5 7h14", "M9.500 7V4.500h5V7", "M7 7l.8 12.500h8.400L17 7", "M10.500 10.500v5.500", "M13.500 10.500v5.500"],
  plus: ["M12 5.500v13", "M5.500 12h13"],
  close: ["M6.500 6.500l11 11", "M17.500 6.500l-11 11"],
  upload: ["M12 15.500V5", "M7.500 9 12 4.500 16.500 9", "M5 15v4.500h14V15"],
  download: ["M12 4.500V15", "M7.500 11 12 15.500 16.500 11", "M5 15v4.500h14V15"],
  search: ["M10.800 17.100a6.300 6.300 0 1 0 0-12.600 6.300 6.300 0 0 0 0 12.600z", "M15.400 15.400 20 20"],
  spool: ["M6.500 4h11", "M6.500 20h11", "M8.500 4v16", "M15.500 4v16", "M8.500 9.500l7-2", "M8.500 13l7-2", "M8.500 16.500l7-2"],
  sun: ["M12 15.800a3.800 3.800 0 1 0 0-7.600 3.800 3.800 0 0 0 0 7.600z", "M12 3v2.200", "M12 18.800V21", "M3 12h2.200", "M18.800 12H21", "M5.600 5.600l1.600 1.600", "M16.800 16.800l1.600 1.600", "M18.400 5.600l-1.600 1.600", "M7.200 16.800l-1.600 1.600"],
  moon: ["M19.500 14.200A8 8 0 0 1 9.800 4.500a8 8 0 1 0 9.700 9.700z"],
  auto: ["M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z", "M12 4v16", "M12 7.500h5.800", "M12 12h8", "M12 16.500h5.800"],
  person: ["M12 11.500a3.700 3.700 0 1 0 0-7.400 3.700 3.700 0 0 0 0 7.400z", "M5 20c.6-4 3.400-6 7-6s6.400 2 7 6"],
  people: ["M9 11.500a3.300 3.300 0 1 0 0-6.600 3.300 3.300 0 0 0 0 6.600z", "M3 19.500c.5-3.500 2.900-5.300 6-5.300s5.500 1.800 6 5.300", "M15.500 5.200a3.300 3.300 0 0 1 0 6", "M17.500 14.600c1.900.7 3.100 2.300 3.500 4.900"],
  leave: ["M10 4.500H5v15h5", "M10.500 12H20", "M16 8l4 4-4 4"],
  scales: ["M12 4.500v15", "M8 19.500h8", "M5 8h14", "M5 8l-2.500 6a3 3 0 0 0 5 0z", "M19 8l-2.500 6a3 3 0 0 0 5 0z"],
  purse: ["M4.500 8.500h15v10.500h-15z", "M7 8.500c0-2.500 2-4 5-4s5 1.500 5 4", "M19.500 12.500H15a1.600 1.600 0 0 0 0 3.200h4.500"],
  keys: ["M3.500 6.500h17v11h-17z", "M7 10h.01", "M10.300 10h.01", "M13.700 10h.01", "M17 10h.01", "M8 14h8"],
  check: ["M5.500 12.500 10 17 18.500 7.500"],
  warn: ["M12 4.500 21 19.500H3z", "M12 10v4.500", "M12 17h.01"],
  restart: ["M5 12a7 7 0 1 0 2.100-5", "M5 4v4h4", "M12 8.500V12l2.500 2"],
  jump: ["M6 6v6.500h11", "M13 8l4.500 4.500L13 17"],
  share: ["M12 20a8 8 0 1 0 0-16 8 8 0 0 0 0 16z", "M4 12h16", "M12 4c3 3 3 13 0 16", "M12 4c-3 3-3 13 0 16"],
  up: ["M6.500 14.500 12 9l5.500 5.500"],
  camera: ["M4 8h3.500L9 5.500h6L16.500 8H20v11H4z", "M12 16.500a3.300 3.300 0 1 0 0-6.600 3.300 3.300 0 0 0 0 6.600z"],
  hanger: ["M12 10.500V9.600c0-.8.5-1.300 1.100-1.700a2 2 0 1 0-3-1.800", "M12 10.500 3.500 16.500c-.9.700-.4 2 .7 2h15.600c1.100 0 1.600-1.300.7-2z"],
  gift: ["M4.500 11h15v8.500h-15z", "M3.500 7.500h17V11h-17z", "M12 7.500v12", "M12 7.500C9 7.500 7.500 6.500 7.500 5.300S10.500 3.500 12 7.500c1.500-4 4.500-3.400 4.500-2.200S15 7.500 12 7.500z"],
  server: ["M4 5h16v6H4z", "M4 13h16v6H4z", "M7.500 8h.01", "M7.500 16h.01"],
  fold: ["M6.500 9.500 12 15l5.500-5.500"],
};

/** @param {keyof typeof PATHS | string} name @returns {SVGSVGElement} hidden from screen readers: the button's label speaks */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", class: `icon icon--${name}`, "aria-hidden": "true", focusable: "false" })) svg.setAttribute(key, value);
  for (const d of PATHS[name] ?? []) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    svg.append(path);
  }
  return svg;
}

/** The mark: a neckline in the shape of a V, with its topstitching. @returns {SVGSVGElement} */
export function mark() {
  const svg = document.createElementNS(SVG, "svg");
  for (const [key, value] of Object.entries({ viewBox: "0 0 48 48", class: "mark", "aria-hidden": "true", focusable: "false" })) svg.setAttribute(key, value);
  for (const [d, name] of [["M7 8 24 41 41 8", "mark__cloth"], ["M16.500 7.500 24 23 31.500 7.500", "mark__stitch"]]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", d);
    path.setAttribute("class", name);
    svg.append(path);
  }
  return svg;
}
