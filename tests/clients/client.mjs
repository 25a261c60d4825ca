// The official TypeScript SDKs as an agent: node client.mjs SDK MODE SERVER -- COMMAND ARGUMENT...
//
// SDK is 1 (@modelcontextprotocol/sdk) or 2 (@modelcontextprotocol/client), MODE `legacy` or `auto`, SERVER the tool server
// behind the broker. Prints a line for each check. Node gives its children socket pairs, not pipes.
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [sdk, mode, server, , ...command] = process.argv.slice(2);
// The packages are in the cache, not beside this file.
const installed = createRequire(`${process.env.CLIENTS_PACKAGES}/`);
const load = (name) => import(pathToFileURL(installed.resolve(name)).href);

const questions = [];
const answers = [];
const elicited = ({ params }) => {
  questions.push(params.message);
  return answers.shift();
};

function check(name, ok, seen) {
  console.log(`${ok ? "passed" : "failed"} typescript ${sdk} ${mode} to ${server}: ${name}${ok ? "" : `: ${JSON.stringify(seen)}`}`);
}

const text = ({ content }) => content.map((block) => block.text ?? "").join("");

const client = sdk === "1" ? await first() : await second();

const names = (await client.listTools()).tools.map(({ name }) => name);
check("its tools are listed", names.includes(`${server}__test_simple_text`), names);

let result = await client.callTool({ name: `${server}__test_simple_text`, arguments: {} });
const called = result._meta?.["dev.tollgate/call"]?.server === server;
check("a call is answered", called && text(result) === "This is a simple text response for testing.", result);

result = await client.callTool({ name: `${server}__json_schema_2020_12_tool`, arguments: { email: 1 } });
const code = result._meta?.["dev.tollgate/refusal"]?.code;
check("a refusal is a result with its code", result.isError === true && code === "ARGS_INVALID", result);

answers.push({ action: "accept", content: { username: "ada", email: "ada@example.com" } });
result = await client.callTool({ name: `${server}__test_elicitation`, arguments: { message: "Who are you?" } });
check("a question names its server", questions[0] === `[${server}] Who are you?`, questions);
check("an answer reaches the call", !result.isError && text(result).includes("ada@example.com"), result);

answers.push({ action: "decline" });
result = await client.callTool({ name: `${server}__test_elicitation`, arguments: { message: "And now?" } });
check("a no reaches the call", text(result).includes("decline"), result);

const failure = await client.callTool({ name: `${server}__no_such_tool`, arguments: {} }).catch((error) => error);
check("an unknown tool is an error", failure.code === -32602, failure);

await client.close();

async function first() {
  const { Client } = await load("@modelcontextprotocol/sdk/client/index.js");
  const { StdioClientTransport } = await load("@modelcontextprotocol/sdk/client/stdio.js");
  const { ElicitRequestSchema } = await load("@modelcontextprotocol/sdk/types.js");
  const client = new Client({ name: "clients", version: "1" }, { capabilities: { elicitation: {} } });
  client.setRequestHandler(ElicitRequestSchema, elicited);
  await client.connect(new StdioClientTransport({ command: command[0], args: command.slice(1) }));
  return client;
}

async function second() {
  const { Client } = await load("@modelcontextprotocol/client");
  const { StdioClientTransport } = await load("@modelcontextprotocol/client/stdio");
  const client = new Client(
    { name: "clients", version: "1" },
    { capabilities: { elicitation: { form: {} } }, versionNegotiation: { mode } },
  );
  client.setRequestHandler("elicitation/create", elicited);
  await client.connect(new StdioClientTransport({ command: command[0], args: command.slice(1) }));
  const version = client.getNegotiatedProtocolVersion();
  check("the version is the one asked for", (version === "2026-07-28") === (mode === "auto"), version);
  return client;
}
