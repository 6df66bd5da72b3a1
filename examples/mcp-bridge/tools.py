#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small tool server: JSON-RPC 2.0, one message a line, on standard input and output.

Methods: "tools/list", "tools/call" {"name": "add", "arguments": [numbers]}, and "exit".
"""
import json
import sys


def result_of(method, params):
    if method == "tools/list":
        return {"tools": [{"name": "add"}]}
    if method == "tools/call" and params.get("name") == "add":
        return {"content": sum(params["arguments"])}
    raise ValueError("no such method or tool")


for line in sys.stdin:
    message = json.loads(line)
    if message["method"] == "exit":
        sys.exit(3)
    reply = {"jsonrpc": "2.0", "id": message["id"]}
    try:
        reply["result"] = result_of(message["method"], message.get("params", {}))
    except (KeyError, TypeError, ValueError) as error:
        reply["error"] = {"code": -32601, "message": str(error)}
    print(json.dumps(reply), flush=True)
