// The rules of marking; edgebox/domain/marking.py has the same ones for browsers without script.

/** Read a number the way children write it: Arabic, Persian and full-width digits, comma or point, fractions. */
export function parseNumber(written) {
  const plain = written
    .replace(/[\u0660-\u0669\u06f0-\u06f9]/g, (digit) => digit.charCodeAt(0) & 15)
    .replace(/[\uff0b-\uff19]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace(/[\u066b,]/g, ".")
    .replace(/\u2212/g, "-")
    .replace(/\u2044/g, "/")
    .replace(/\s/g, "");
  const parts = /^([+-]?(?:\d+\.?\d*|\.\d+))(?:\/(\d+))?$/.exec(plain);
  return parts ? parts[1] / (parts[2] || 1) : NaN;
}

/** Is this response right? Responses are option ids joined by a comma, or a number as written. */
export function isRight(item, response) {
  if (item.type === "number") return Math.abs(parseNumber(response) - item.answer) <= Math.max(1e-9, item.tolerance || 0);
  return response === item.correct.slice().sort().join(",");
}

/** Three stars from nine tenths on, two from the pass mark on, one for getting to the end. */
export const starsFor = (scaled, passMark) => (scaled >= 0.9 ? 3 : scaled >= passMark ? 2 : 1);
