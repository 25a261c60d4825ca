// Transparency: the same requests to a server directly and through the broker, both over stdio, answers compared.
//
//     node compare.mjs --era legacy|modern [--prefix PREFIX] -- DIRECT COMMAND... -- THROUGH COMMAND...
//
// Answers are compared as raw text, with the order of keys and the spelling of numbers and strings; only what `ALLOWED`
// names may differ. Prints each other difference and exits with 1 if there is any.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { parse, print } from "./rawjson.mjs";

const META = "io.modelcontextprotocol/";
const OURS = "dev.tollgate/";
const TIMEOUT = 20_000;

// What the broker may change, and why. `at` is matched against the path of the value, array indices as `*`.
const ALLOWED = [
  { why: "the broker's own claims", at: /^result\.tools\.\*\.annotations$/ },
  { why: "the tier is said after the server's words", at: /^result\.tools\.\*\.description$/, if: (a, b) => b.startsWith(a) },
  { why: "cache hints belong to the merged list", at: /^result\.(ttlMs|cacheScope)$/ },
  { why: "the broker seals the server's state in its own", at: /^result\.requestState$/ },
  { why: "the broker is the server the agent sees", at: /^result\.serverInfo$/ },
  {
    why: "a question is labelled with the server it comes from",
    at: /^(result\.inputRequests\.[^.]+\.|)params\.message$/,
    if: (a, b) => b.includes(a),
  },
  { why: "a log message says whose it is", at: /^params\.logger$/, if: (a, b) => b.endsWith(`/${a}`) },
];

// `_meta` keys that are the broker's.
const isOwnMeta = (key) => key.startsWith(OURS) || key === `${META}serverInfo`;

const options = readOptions(process.argv.slice(2));
const modern = options.era === "modern";
const differences = [];

class Peer {
  constructor(name, command, prefix) {
    Object.assign(this, { name, prefix, next: 1, waiting: new Map(), heard: [] });
    this.process = spawn(command[0], command.slice(1), { stdio: ["pipe", "pipe", "inherit"] });
    this.ended = new Promise((resolve) => this.process.on("exit", resolve));
    this.process.on("error", (error) => fail(`${name}: ${error.message}`));
    this.process.stdin.on("error", () => {});
    createInterface({ input: this.process.stdout }).on("line", (line) => line.trim() && this.receive(line));
  }

  send(message) {
    this.process.stdin.write(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }

  // The raw answer and what was heard before it.
  request(method, params) {
    const id = this.next++;
    this.heard = [];
    const answer = new Promise((resolve) => {
      const timer = setTimeout(() => {
        this.waiting.delete(id);
        resolve({ line: JSON.stringify({ error: { code: "none", message: `no answer in ${TIMEOUT} ms` } }), heard: this.heard });
      }, TIMEOUT);
      this.waiting.set(id, (line) => {
        clearTimeout(timer);
        resolve({ line, heard: this.heard });
      });
    });
    this.send({ id, method, ...(params && { params }) });
    return answer;
  }

  receive(line) {
    const message = JSON.parse(line);
    if (message.method === undefined) {
      this.waiting.get(message.id)?.(line);
      this.waiting.delete(message.id);
    } else if (message.id === undefined) {
      // Progress and logs belong to the call; a changed list is told whenever it is noticed.
      if (!message.method.endsWith("list_changed")) this.heard.push(line);
    } else {
      this.heard.push(line);
      const result = answerTo(message);
      this.send({ id: message.id, ...(result ? { result } : { error: { code: -32601, message: message.method } }) });
    }
  }

  async close() {
    this.process.stdin.end();
    const timer = setTimeout(() => this.process.kill("SIGKILL"), 5000);
    await this.ended;
    clearTimeout(timer);
  }
}

// What the agent says to a question, in both eras.
function answerTo({ method, params }) {
  switch (method) {
    case "elicitation/create":
      return { action: "accept", content: contentFor(params.requestedSchema) };
    case "sampling/createMessage":
      return { role: "assistant", content: { type: "text", text: "An answer" }, model: "a-model", stopReason: "endTurn" };
    case "roots/list":
      return { roots: [{ uri: "file:///a/root", name: "A root" }] };
    case "ping":
      return {};
    default:
      return undefined;
  }
}

function contentFor(schema) {
  const value = (property) => {
    if (property.enum) return property.enum[0];
    if (property.oneOf) return property.oneOf[0].const;
    const items = property.items;
    return { string: "text", boolean: true, integer: 7, number: 1.5, array: [items?.enum?.[0] ?? items?.anyOf?.[0].const] }[property.type];
  };
  return Object.fromEntries(Object.entries(schema.properties).map(([name, property]) => [name, value(property)]));
}

const direct = new Peer("direct", options.direct, "");
const through = new Peer("through", options.through, options.prefix);
const count = await compareAll();
await Promise.all([direct.close(), through.close()]);
for (const difference of differences) console.error(difference);
console.log(`${count} requests, ${differences.length} differences`);
process.exitCode = differences.length === 0 ? 0 : 1;

async function compareAll() {
  await Promise.all([open(direct), open(through)]);
  const requests = await everyRequest();
  for (const request of requests) await compareOne(request);
  return requests.length;
}

async function open(peer) {
  if (modern) return;
  const clientInfo = { name: "compare", version: "1" };
  await peer.request("initialize", { protocolVersion: "2025-11-25", capabilities: capabilities(), clientInfo });
  peer.send({ method: "notifications/initialized" });
}

function capabilities() {
  return { sampling: {}, elicitation: {}, roots: { listChanged: true } };
}

// The requests, made from what the server lists, so that a new tool is compared without a word here.
async function everyRequest() {
  const listed = async (method, key) => JSON.parse((await direct.request(method, withMeta({}))).line).result[key];
  const lists = ["tools/list", "prompts/list", "resources/list", "resources/templates/list"];
  const requests = lists.map((method) => ({ method, params: {} }));
  const texts = { prompt: "Say something", message: "Please answer" };
  for (const { name, inputSchema } of await listed("tools/list", "tools")) {
    // A schema that says more than `required` has a call of its own below: the broker refuses what it forbids.
    if (inputSchema.allOf) continue;
    const args = Object.fromEntries((inputSchema.required ?? []).map((key) => [key, texts[key] ?? "text"]));
    requests.push({ method: "tools/call", params: { name, arguments: args } });
  }
  requests.push(
    { method: "tools/call", params: { name: "test_simple_text" } },
    { method: "tools/call", params: { name: "test_rich_result", arguments: { z: 1, a: [true, null, "\u2028\ud83e\udd80"], "": {} } } },
    { method: "tools/call", params: { name: "json_schema_2020_12_tool", arguments: { name: "A", phone: "1", contactMethod: "phone" } } },
    { method: "tools/call", params: { name: "test_tool_with_progress", arguments: {}, _meta: { progressToken: "a-token" } } },
    { method: "tools/call", params: { name: "test_tool_with_progress", arguments: {}, _meta: { progressToken: 7 } } },
  );
  if (modern) {
    requests.push({ method: "tools/call", params: { name: "test_logging_tool", arguments: {}, _meta: { [`${META}logLevel`]: "debug" } } });
  } else {
    requests.unshift({ method: "logging/setLevel", params: { level: "debug" } });
    requests.push({ method: "ping", params: undefined });
    requests.push({ method: "resources/subscribe", params: { uri: "test://watched-resource" } });
    requests.push({ method: "resources/unsubscribe", params: { uri: "test://watched-resource" } });
  }
  for (const { name, arguments: args = [] } of await listed("prompts/list", "prompts")) {
    requests.push({ method: "prompts/get", params: { name, arguments: Object.fromEntries(args.map((arg) => [arg.name, "test://a"])) } });
  }
  for (const { uri } of await listed("resources/list", "resources")) requests.push({ method: "resources/read", params: { uri } });
  requests.push({ method: "resources/read", params: { uri: "test://template/a%20b/data" } });
  for (const value of ["par", "", "none"]) {
    const ref = { type: "ref/prompt", name: "test_prompt_with_arguments" };
    requests.push({ method: "completion/complete", params: { ref, argument: { name: "arg1", value } } });
  }
  const template = { type: "ref/resource", uri: "test://template/{id}/data" };
  requests.push({ method: "completion/complete", params: { ref: template, argument: { name: "id", value: "te" } } });
  // Errors. What the broker refuses itself it says in its own words: the code must be the server's, the text need not.
  const own = { codeOnly: true };
  requests.push(
    { method: "prompts/get", params: { name: "test_prompt_with_arguments", arguments: {} } },
    { method: "tools/call", params: { name: "no_such_tool", arguments: {} }, ...own },
    { method: "prompts/get", params: { name: "no_such_prompt" }, ...own },
    { method: "resources/read", params: { uri: "test://no-such-resource" }, ...own },
    { method: "no/such/method", params: {}, ...own },
  );
  return requests;
}

async function compareOne({ method, params, codeOnly }) {
  const label = `${options.era} ${method} ${params?.name ?? params?.uri ?? ""}`.trim();
  let asked = { direct: {}, through: {} };
  for (let round = 1; round <= 5; round += 1) {
    const [a, b] = await Promise.all([
      direct.request(method, withMeta({ ...params, ...asked.direct }, params)),
      through.request(method, withMeta({ ...prefixed(method, params), ...asked.through }, params)),
    ]);
    const place = round === 1 ? label : `${label} (round ${round})`;
    if (codeOnly) compareCodes(place, a.line, b.line);
    else compareLines(place, a, b);
    const [resultA, resultB] = [JSON.parse(a.line).result, JSON.parse(b.line).result];
    if (resultA?.resultType !== "input_required" || resultB?.resultType !== "input_required") return;
    asked = { direct: retry(resultA), through: retry(resultB) };
  }
}

function retry({ inputRequests, requestState }) {
  const inputResponses = Object.fromEntries(Object.entries(inputRequests ?? {}).map(([key, question]) => [key, answerTo(question)]));
  return { inputResponses, ...(requestState !== undefined && { requestState }) };
}

function prefixed(method, params) {
  const named = method === "tools/call" || method === "prompts/get";
  return named && params?.name ? { ...params, name: through.prefix + params.name } : params;
}

function withMeta(params, given = params) {
  if (!modern) return given === undefined ? undefined : params;
  const own = {
    [`${META}protocolVersion`]: "2026-07-28",
    [`${META}clientInfo`]: { name: "compare", version: "1" },
    [`${META}clientCapabilities`]: capabilities(),
  };
  return { ...params, _meta: { ...own, ...params?._meta } };
}

function compareCodes(place, a, b) {
  const [codeA, codeB] = [a, b].map((line) => JSON.parse(line).error?.code);
  if (codeA !== codeB) differences.push(`${place}\n    direct  ${a}\n    through ${b}`);
}

function compareLines(place, a, b) {
  compareMessages(place, a.line, b.line);
  if (a.heard.length !== b.heard.length) {
    const list = (lines) => lines.map((line) => JSON.parse(line).method).join(", ") || "nothing";
    differences.push(`${place}: heard before the answer\n    direct  ${list(a.heard)}\n    through ${list(b.heard)}`);
    return;
  }
  a.heard.forEach((line, index) => compareMessages(`${place}: ${JSON.parse(line).method}`, line, b.heard[index]));
}

// Compares `result`, `error` and `params`; ids are each side's own.
function compareMessages(place, a, b) {
  const [left, right] = [a, b].map((line) => withoutOwn(parse(line)));
  for (const message of [left, right]) message.members = message.members.filter(([key]) => key !== `"id"`);
  compareValues(place, "", left, right);
}

function compareValues(place, path, a, b) {
  const pattern = path.replaceAll(/\.\d+(?=\.|$)/g, ".*");
  const allowed = ALLOWED.find(({ at }) => at.test(pattern));
  if (allowed && (!allowed.if || (isText(a) && isText(b) && allowed.if(JSON.parse(a.raw), JSON.parse(b.raw))))) return;
  if (through.prefix && pattern === "result.tools.*.name" && print(b) === JSON.stringify(through.prefix + JSON.parse(a.raw))) return;
  const under = (key) => (path === "" ? key : `${path}.${key}`);
  if (a?.members && b?.members) {
    const [keysA, keysB] = [a, b].map((value) => value.members.map(([key]) => key));
    const common = (keys, others) => keys.filter((key) => others.includes(key)).join();
    if (common(keysA, keysB) !== common(keysB, keysA)) {
      differences.push(`${place}: order of keys in ${path || "the message"}\n    direct  ${keysA}\n    through ${keysB}`);
    }
    for (const key of new Set([...keysA, ...keysB])) {
      const [valueA, valueB] = [a, b].map((value) => value.members.find(([name]) => name === key)?.[1]);
      compareValues(place, under(JSON.parse(key)), valueA, valueB);
    }
  } else if (a?.items && b?.items && a.items.length === b.items.length) {
    a.items.forEach((item, index) => compareValues(place, under(index), item, b.items[index]));
  } else if (print(a) !== print(b)) {
    const short = (value) => (value === undefined ? "(absent)" : print(value).slice(0, 300));
    differences.push(`${place}: ${path}\n    direct  ${short(a)}\n    through ${short(b)}`);
  }
}

function isText(value) {
  return value?.raw?.startsWith('"');
}

function isOwnTool(item) {
  const name = item.members?.find(([key]) => key === `"name"`)?.[1];
  return name?.raw?.startsWith(`"tollgate__`) ?? false;
}

// Takes the broker's own tools and `_meta` keys out, and a `_meta` that held nothing else.
function withoutOwn(value) {
  if (value.items) return { ...value, items: value.items.filter((item) => !isOwnTool(item)).map(withoutOwn) };
  if (!value.members) return value;
  const members = [];
  for (const [key, member] of value.members) {
    let kept = withoutOwn(member);
    if (key === `"_meta"` && kept.members) {
      const before = kept.members.length;
      kept = { ...kept, members: kept.members.filter(([name]) => !isOwnMeta(JSON.parse(name))) };
      if (before > 0 && kept.members.length === 0) continue;
    }
    members.push([key, kept]);
  }
  return { ...value, members };
}

function readOptions(args) {
  const first = args.indexOf("--");
  const second = args.indexOf("--", first + 1);
  const flag = (name) => {
    const at = args.slice(0, first).indexOf(name);
    return at === -1 ? undefined : args[at + 1];
  };
  const read = {
    era: flag("--era"),
    prefix: flag("--prefix") ?? "",
    direct: args.slice(first + 1, second),
    through: args.slice(second + 1),
  };
  if (first === -1 || second === -1 || !["legacy", "modern"].includes(read.era) || read.direct.length === 0 || read.through.length === 0) {
    fail("usage: node compare.mjs --era legacy|modern [--prefix PREFIX] -- DIRECT COMMAND... -- THROUGH COMMAND...");
  }
  return read;
}

function fail(message) {
  console.error(message);
  process.exit(2);
}
