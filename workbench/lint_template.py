"""Lints what is deployed (`make lint-template`): cfn-lint for every region before and after the SAM transform, the state machines
as CloudFormation gets them, checkov after the transform.

checkov has an environment of its own (`requirements/checks.in`); its exceptions stand in `.checkov.yaml`, each with its reason.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import boto3
import cfnlint.api
import cfnlint.config
import yaml
from samcli.lib.translate.sam_template_validator import SamTemplateValidator
from samcli.yamlhelper import yaml_parse

ROOT = Path(__file__).parents[1]
TEMPLATE = ROOT / "template.yaml"
CHECKOV = ROOT / ".venv" / "checks" / "bin" / "checkov"
EVERYWHERE = ["ALL_REGIONS"]
TRANSFORM_REGION = "eu-central-1"


def transformed(text: str, region: str = TRANSFORM_REGION) -> dict[str, Any]:
    """The template after the SAM transform, as CloudFormation sees it. No function of ours has a managed policy to look up."""
    validator = SamTemplateValidator(yaml_parse(text), None, region=region)
    validator.boto3_session = boto3.Session(region_name=region)
    validator.managed_policy_loader = type("Loader", (), {"load": staticmethod(dict)})()
    return yaml_parse(validator.get_translated_template_if_valid())


def with_machines_inside(template: dict[str, Any]) -> dict[str, Any]:
    """The same with each state machine's definition in it: cfn-lint checks definitions that it sees."""
    source = yaml_parse(TEMPLATE.read_text())["Resources"]
    resources = dict(template["Resources"])
    for name, resource in resources.items():
        if resource["Type"] == "AWS::StepFunctions::StateMachine":
            text = (ROOT / source[name]["Properties"]["DefinitionUri"]).read_text()
            definition = yaml.safe_load(text.replace("${Partition}", "aws"))  # cfn-lint knows one partition's ARNs
            properties = {
                key: value
                for key, value in resource["Properties"].items()
                if key not in ("DefinitionS3Location", "DefinitionUri")
            }
            resources[name] = {**resource, "Properties": {**properties, "DefinitionString": json.dumps(definition)}}
    return {**template, "Resources": resources}


def cfn_lint(text: str, regions: list[str] | None = None) -> list[str]:
    config = cfnlint.config.ManualArgs(regions=regions or EVERYWHERE)
    return [str(match) for match in cfnlint.api.lint(text, config=config)]


def checkov(template: dict[str, Any]) -> subprocess.CompletedProcess:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "template.json"
        path.write_text(json.dumps(template))
        command = [str(CHECKOV), "--file", str(path), "--config-file", str(ROOT / ".checkov.yaml")]
        return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> int:
    text = TEMPLATE.read_text()
    after = transformed(text)
    problems = {
        "template.yaml": cfn_lint(text),
        "template.yaml after the transform": cfn_lint(json.dumps(after)),
        "state machines": cfn_lint(json.dumps(with_machines_inside(after))),
    }
    for what, found in problems.items():
        print(f"cfn-lint, all regions, {what}: {len(found)} problems")
        for problem in found:
            print(f"  {problem}")
    checked = checkov(after)
    print(checked.stdout if checked.returncode else f"checkov: {_passed(checked.stdout)}")
    print(checked.stderr, end="", file=sys.stderr)
    return int(any(problems.values()) or checked.returncode != 0)


def _passed(told: str) -> str:
    return next((line for line in told.splitlines() if line.startswith("Passed checks")), "nothing failed")


if __name__ == "__main__":
    sys.exit(main())
