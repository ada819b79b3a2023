"""The JSON Schemas of all files, made from the models: `python -m config.schema`."""

from __future__ import annotations

import json
from pathlib import Path

from config.agent import AgentConfig
from config.checks import Checks
from config.model import Declared
from config.topology import Topology

DIRECTORY = Path(__file__).parent / "schema"

SCHEMAS: dict[str, tuple[type[Declared], str]] = {
    "topology.schema.json": (Topology, "Saling: the topology of a cluster"),
    "agent.schema.json": (AgentConfig, "Saling: the file of an agent"),
    "checks.schema.json": (Checks, "Saling: the checks of a site's own"),
}


def schema_text(name: str) -> str:
    """The text of one schema file."""
    model, title = SCHEMAS[name]
    schema = model.model_json_schema(by_alias=True)
    schema["title"] = title
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    return json.dumps(schema, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def main() -> None:
    """Writes all schemas beside the code."""
    DIRECTORY.mkdir(exist_ok=True)
    for name in SCHEMAS:
        (DIRECTORY / name).write_text(schema_text(name), encoding="utf-8")


if __name__ == "__main__":
    main()
