// JSON read so that nothing is lost: keys in their order, strings and numbers as they were written. JSON.parse keeps
// neither `1.0` nor an integer above 2^53, and moves keys that look like numbers to the front.

// { members: [[rawKey, value]] } | { items: [value] } | { raw: text }
export function parse(text) {
  let at = 0;

  const space = () => {
    while (" \t\r\n".includes(text[at] ?? "x")) at += 1;
  };
  const take = (what) => {
    space();
    if (text[at] !== what) throw new SyntaxError(`expected ${what} at ${at} in ${text.slice(0, 200)}`);
    at += 1;
  };
  const peek = () => {
    space();
    return text[at];
  };
  const match = (pattern) => {
    space();
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (!found) throw new SyntaxError(`unexpected ${text[at]} at ${at} in ${text.slice(0, 200)}`);
    at = pattern.lastIndex;
    return found[0];
  };
  // The elements up to `close`, each read by `element`.
  const list = (open, close, element) => {
    const elements = [];
    take(open);
    while (peek() !== close) {
      if (elements.length > 0) take(",");
      elements.push(element());
    }
    take(close);
    return elements;
  };
  const member = () => {
    const key = match(STRING);
    take(":");
    return [key, value()];
  };
  const value = () => {
    const next = peek();
    if (next === "{") return { members: list("{", "}", member) };
    if (next === "[") return { items: list("[", "]", value) };
    return { raw: match(next === '"' ? STRING : LITERAL) };
  };

  const result = value();
  space();
  if (at !== text.length) throw new SyntaxError(`more after the end at ${at} in ${text.slice(0, 200)}`);
  return result;
}

const STRING = /"(?:[^"\\]|\\.)*"/y;
const LITERAL = /-?\d[\d.eE+-]*|true|false|null/y;

export function print(value) {
  if (value === undefined) return "";
  if (value.members) return `{${value.members.map(([key, member]) => `${key}:${print(member)}`).join(",")}}`;
  if (value.items) return `[${value.items.map(print).join(",")}]`;
  return value.raw;
}
