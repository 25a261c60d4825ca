"""The official Python SDK as an agent: client.py MODE SERVER -- COMMAND ARGUMENT...

MODE is `legacy`, `auto` or a version of the protocol, SERVER the tool server behind the broker. Prints a line for each
check; its stdio is a pair of pipes.
"""

import sys

import anyio
import mcp
import mcp_types as types
from mcp import Client, StdioServerParameters

mode, server, _, *command = sys.argv[1:]
questions: list[str] = []
answers: list[types.ElicitResult] = []


async def elicited(context, params):
    questions.append(params.message)
    return answers.pop(0)


def check(name: str, ok: bool, seen: object) -> None:
    print(f"{'passed' if ok else 'failed'} python {mode} to {server}: {name}" + ("" if ok else f": {seen}"), flush=True)


def text(result: types.CallToolResult) -> str:
    return "".join(block.text for block in result.content if block.type == "text")


async def main() -> None:
    started = StdioServerParameters(command=command[0], args=command[1:])
    async with Client(started, mode=mode, elicitation_callback=elicited, read_timeout_seconds=30) as client:
        modern = client.protocol_version == "2026-07-28"
        check("the version is the one asked for", modern == (mode != "legacy"), client.protocol_version)

        names = [tool.name for tool in (await client.list_tools()).tools]
        check("its tools are listed", f"{server}__test_simple_text" in names, names)

        result = await client.call_tool(f"{server}__test_simple_text", {})
        told = (result.meta or {}).get("dev.tollgate/call", {})
        good = not result.is_error and told.get("server") == server
        check("a call is answered", good and text(result) == "This is a simple text response for testing.", result)

        result = await client.call_tool(f"{server}__json_schema_2020_12_tool", {"email": 1})
        told = (result.meta or {}).get("dev.tollgate/refusal", {})
        check("a refusal is a result with its code", bool(result.is_error) and told.get("code") == "ARGS_INVALID", result)

        answers.append(types.ElicitResult(action="accept", content={"username": "ada", "email": "ada@example.com"}))
        result = await client.call_tool(f"{server}__test_elicitation", {"message": "Who are you?"})
        check("a question names its server", questions == [f"[{server}] Who are you?"], questions)
        check("an answer reaches the call", not result.is_error and "ada@example.com" in text(result), result)

        answers.append(types.ElicitResult(action="decline"))
        result = await client.call_tool(f"{server}__test_elicitation", {"message": "And now?"})
        check("a no reaches the call", "decline" in text(result), result)

        try:
            await client.call_tool(f"{server}__no_such_tool", {})
            check("an unknown tool is an error", False, "a result")
        except mcp.MCPError as error:
            check("an unknown tool is an error", error.code == -32602, error)


anyio.run(main)
