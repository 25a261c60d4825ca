// Streamable HTTP in front of a stdio server, for the conformance suite, which speaks HTTP only:
//
//     node adapter.mjs PORT -- COMMAND ARGUMENT...
//
// Modern requests share one child, with ids and progress tokens rewritten so that clients cannot collide; each legacy
// session has a child of its own. `{child}` in an argument becomes the number of the child, for what two cannot share. The adapter does what the HTTP binding demands and a stdio server never sees: Host and
// Origin, the mirrored headers, status codes, streams, sessions. It judges nothing else: what the child says goes out.
import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { createInterface } from "node:readline";

const META = "io.modelcontextprotocol/";
const MODERN = "2026-07-28";
const CODES = { parse: -32700, invalid: -32600, unknownMethod: -32601, params: -32602, internal: -32603, header: -32020 };
const MAX_BODY = 16 * 1024 * 1024;

const separator = process.argv.indexOf("--");
const port = Number(process.argv[2]);
const command = process.argv.slice(separator + 1);
if (!Number.isInteger(port) || separator !== 3 || command.length === 0) {
  console.error("usage: node adapter.mjs PORT -- COMMAND ARGUMENT...");
  process.exit(2);
}

// A stdio server, one JSON message a line.
let children = 0;

class Child {
  constructor(onMessage, onEnd) {
    const number = String(++children);
    const [program, ...args] = command.map((argument) => argument.replaceAll("{child}", number));
    this.process = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
    this.ended = false;
    const end = (why) => {
      if (this.ended) return;
      this.ended = true;
      onEnd(why);
    };
    this.process.on("error", (error) => end(error.message));
    this.process.on("exit", (code, signal) => end(`the server ended with ${signal ?? code}`));
    this.process.stdin.on("error", () => {});
    createInterface({ input: this.process.stdout, crlfDelay: Infinity }).on("line", (line) => {
      if (line.trim() === "") return;
      let message;
      try {
        message = JSON.parse(line);
      } catch {
        console.error(`adapter: not JSON on the server's stdout: ${line.slice(0, 200)}`);
        return;
      }
      onMessage(message);
    });
  }

  send(message) {
    if (!this.ended) this.process.stdin.write(`${JSON.stringify(message)}\n`);
  }

  close() {
    if (this.ended) return;
    this.process.stdin.end();
    setTimeout(() => this.process.kill("SIGKILL"), 3000).unref();
  }
}

// One HTTP response: plain JSON if the answer comes alone, an event stream as soon as something precedes it.
class Reply {
  constructor(response, statusOf, headers = {}) {
    Object.assign(this, { response, statusOf, headers, streaming: false, done: false });
  }

  stream(message) {
    if (this.done) return;
    if (!this.streaming) {
      this.streaming = true;
      this.response.writeHead(200, {
        "Content-Type": "text/event-stream",
        "Cache-Control": "no-cache",
        "X-Accel-Buffering": "no",
        ...this.headers,
      });
    }
    this.response.write(`event: message\ndata: ${JSON.stringify(message)}\n\n`);
  }

  finish(message) {
    if (this.done) return;
    if (this.streaming) {
      this.stream(message);
      this.response.end();
    } else {
      respond(this.response, this.statusOf(message), message, this.headers);
    }
    this.done = true;
  }
}

function respond(response, status, message, headers = {}) {
  const body = message === undefined ? "" : JSON.stringify(message);
  response.writeHead(status, { ...(body && { "Content-Type": "application/json" }), ...headers });
  response.end(body);
}

function failure(id, code, message) {
  return { jsonrpc: "2.0", id: id ?? null, error: { code, message } };
}

const isRequest = (message) => typeof message.method === "string" && message.id !== undefined;
const isNotification = (message) => typeof message.method === "string" && message.id === undefined;
const isAnswer = (message) => message.method === undefined && ("result" in message || "error" in message);

// ---- modern: one child for everybody ----

const modern = {
  child: undefined,
  next: 1,
  calls: new Map(), // our id -> { id, reply, token, logs }

  start() {
    if (this.child && !this.child.ended) return;
    this.child = new Child(
      (message) => this.receive(message),
      (why) => {
        for (const call of this.calls.values()) call.reply.finish(failure(call.id, CODES.internal, why));
        this.calls.clear();
      },
    );
  },

  request(message, response) {
    this.start();
    const key = this.next++;
    const meta = message.params?._meta;
    const token = meta?.progressToken;
    const reply = new Reply(response, (answer) => modernStatus(answer, message));
    this.calls.set(key, { id: message.id, reply, token, logs: meta?.[`${META}logLevel`] !== undefined });
    response.on("close", () => {
      // Closing the stream is the cancellation; a finished call is no longer in the table.
      if (!this.calls.delete(key)) return;
      this.child.send({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: key } });
    });
    const params = token === undefined ? message.params : { ...message.params, _meta: { ...meta, progressToken: key } };
    this.child.send({ ...message, id: key, ...(params !== undefined && { params }) });
  },

  receive(message) {
    if (isAnswer(message)) {
      const call = this.calls.get(message.id);
      if (!call) return;
      this.calls.delete(message.id);
      call.reply.finish(restored({ ...message, id: call.id }, message.id, call.id));
    } else if (isNotification(message)) {
      this.notify(message);
    } else {
      console.error(`adapter: a request on a modern connection: ${message.method}`);
      // Handed on where it can be seen: the suite fails a server that does this.
      for (const call of this.calls.values()) call.reply.stream(message);
    }
  },

  notify(message) {
    const { params } = message;
    const subscription = params?._meta?.[`${META}subscriptionId`];
    if (subscription !== undefined) {
      const call = this.calls.get(Number(subscription));
      call?.reply.stream(restored(message, subscription, call.id));
    } else if (message.method === "notifications/progress") {
      const call = this.calls.get(params?.progressToken);
      if (call?.token !== undefined) call.reply.stream({ ...message, params: { ...params, progressToken: call.token } });
    } else {
      // Nothing on a shared stdio connection says whose log line this is: all who asked for logs, else everybody,
      // so that one nobody asked for is seen.
      const all = [...this.calls.values()];
      const asked = all.filter((call) => call.logs);
      for (const call of asked.length > 0 ? asked : all) call.reply.stream(message);
    }
  },
};

// The listen request's id comes back as the subscription's id.
function restored(message, ours, theirs) {
  const part = message.params ? "params" : "result";
  const meta = message[part]?._meta;
  const key = `${META}subscriptionId`;
  if (meta?.[key] === undefined || String(meta[key]) !== String(ours)) return message;
  const id = typeof meta[key] === "string" ? String(theirs) : theirs;
  return { ...message, [part]: { ...message[part], _meta: { ...meta, [key]: id } } };
}

function lacksMeta(message) {
  const meta = message.params?._meta;
  return meta?.[`${META}protocolVersion`] === undefined || meta?.[`${META}clientCapabilities`] === undefined;
}

function modernStatus(answer, request) {
  switch (answer.error?.code) {
    case undefined:
      return 200;
    case CODES.unknownMethod:
      return 404;
    case CODES.params:
      return lacksMeta(request) ? 400 : 200;
    case CODES.parse:
    case CODES.invalid:
    case CODES.header:
    case -32021:
    case -32022:
      return 400;
    default:
      return 200;
  }
}

// What a header must repeat of the body, or undefined if the two agree.
function headerFault(message, headers) {
  const version = message.params?._meta?.[`${META}protocolVersion`];
  if (version === undefined) return undefined;
  const expected = { "mcp-protocol-version": version, "mcp-method": message.method };
  const name = namedBy(message);
  if (name !== undefined) expected["mcp-name"] = name;
  for (const [header, value] of Object.entries(expected)) {
    const given = headers[header];
    if (given === undefined) return `header ${header} is missing`;
    if (decoded(given) !== value) return `header ${header} does not match the body`;
  }
  return undefined;
}

function namedBy({ method, params }) {
  if (method === "tools/call" || method === "prompts/get") return params?.name;
  if (method === "resources/read") return params?.uri;
  if (method.startsWith("tasks/")) return params?.taskId;
  return undefined;
}

function decoded(value) {
  const encoded = /^=\?base64\?(.*)\?=$/.exec(value.trim());
  return encoded ? Buffer.from(encoded[1], "base64").toString("utf8") : value.trim();
}

// ---- legacy: one child for each session ----

const sessions = new Map();

class Session {
  constructor() {
    this.id = randomUUID();
    this.calls = new Map(); // the client's id -> { reply, token }
    this.stream = undefined; // the GET stream
    this.child = new Child(
      (message) => this.receive(message),
      (why) => this.end(why),
    );
    sessions.set(this.id, this);
  }

  request(message, response) {
    if (this.calls.has(message.id)) {
      respond(response, 400, failure(message.id, CODES.invalid, "this id is in use"));
      return;
    }
    const reply = new Reply(response, () => 200, { "Mcp-Session-Id": this.id });
    // A client that goes away has not cancelled.
    this.calls.set(message.id, { reply, token: message.params?._meta?.progressToken });
    this.child.send(message);
  }

  receive(message) {
    if (isAnswer(message)) {
      this.calls.get(message.id)?.reply.finish(message);
      this.calls.delete(message.id);
      return;
    }
    this.target(message)?.stream(message);
  }

  // Where a message of the server goes. stdio does not say which call a question belongs to: the youngest.
  target(message) {
    const calls = [...this.calls.values()];
    if (message.method === "notifications/progress") {
      return calls.find((call) => call.token === message.params?.progressToken)?.reply;
    }
    const unrelated = message.method.endsWith("list_changed") || message.method === "notifications/resources/updated";
    if (unrelated && this.stream) return this.stream;
    return calls.at(-1)?.reply ?? this.stream;
  }

  listen(response) {
    if (this.stream) {
      respond(response, 409);
      return;
    }
    const stream = new Reply(response, () => 200, { "Mcp-Session-Id": this.id });
    stream.streaming = true;
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache", ...stream.headers });
    response.flushHeaders();
    response.on("close", () => {
      stream.done = true;
      if (this.stream === stream) this.stream = undefined;
    });
    this.stream = stream;
  }

  end(why) {
    sessions.delete(this.id);
    for (const [id, call] of this.calls) call.reply.finish(failure(id, CODES.internal, why));
    this.calls.clear();
    this.stream?.response.end();
    this.child.close();
  }
}

// ---- HTTP ----

function isLocal(value, scheme) {
  if (value === undefined) return scheme === "origin";
  try {
    const { hostname } = new URL(scheme === "origin" ? value : `http://${value}`);
    return ["localhost", "127.0.0.1", "[::1]"].includes(hostname);
  } catch {
    return false;
  }
}

async function bodyOf(request) {
  const chunks = [];
  let size = 0;
  for await (const chunk of request) {
    size += chunk.length;
    if (size > MAX_BODY) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

async function post(request, response) {
  const text = await bodyOf(request);
  if (text === undefined) return respond(response, 413);
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return respond(response, 400, failure(null, CODES.parse, "the body is not JSON"));
  }
  if (typeof message !== "object" || message === null || Array.isArray(message) || message.jsonrpc !== "2.0") {
    return respond(response, 400, failure(null, CODES.invalid, "the body is not one JSON-RPC message"));
  }
  const sessionId = request.headers["mcp-session-id"];
  if (sessionId !== undefined) return postLegacy(sessionId, message, response);
  const isHandshake = message.method === "initialize" && message.params?._meta?.[`${META}protocolVersion`] === undefined;
  if (isHandshake && isRequest(message)) return new Session().request(message, response);
  return postModern(message, request.headers, response);
}

function postLegacy(sessionId, message, response) {
  const session = sessions.get(sessionId);
  if (!session) return respond(response, 404, failure(message.id, CODES.invalid, "no such session"));
  if (isRequest(message)) return session.request(message, response);
  session.child.send(message);
  return respond(response, 202);
}

function postModern(message, headers, response) {
  if (isNotification(message)) return respond(response, 202);
  if (!isRequest(message)) return respond(response, 400, failure(null, CODES.invalid, "not a request"));
  const version = headers["mcp-protocol-version"];
  if (version !== undefined && version < MODERN && lacksMeta(message)) {
    return respond(response, 400, failure(message.id, CODES.invalid, "a session is needed for this version"));
  }
  const fault = headerFault(message, headers);
  if (fault) return respond(response, 400, failure(message.id, CODES.header, fault));
  return modern.request(message, response);
}

const server = createServer(async (request, response) => {
  const { host, origin } = request.headers;
  if (!isLocal(host, "host") || !isLocal(origin, "origin")) return respond(response, 403);
  if (new URL(request.url, "http://localhost").pathname !== "/mcp") return respond(response, 404);
  const session = sessions.get(request.headers["mcp-session-id"]);
  switch (request.method) {
    case "POST":
      return post(request, response);
    case "GET":
      return session ? session.listen(response) : respond(response, request.headers["mcp-session-id"] ? 404 : 405);
    case "DELETE":
      if (!session) return respond(response, request.headers["mcp-session-id"] ? 404 : 405);
      session.end("the session was deleted");
      return respond(response, 200);
    default:
      return respond(response, 405);
  }
});

server.listen(port, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${server.address().port}/mcp`));

for (const signal of ["SIGINT", "SIGTERM"]) {
  process.once(signal, () => {
    modern.child?.close();
    for (const session of sessions.values()) session.child.close();
    server.close();
    server.closeAllConnections();
    // The children see the end of their input; the event loop ends when the last of them has gone.
  });
}
