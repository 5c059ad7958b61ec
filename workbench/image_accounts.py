"""Writes into template.yaml which account keeps AWS's MXNet 1.9.0 images in which region (`make images`).

The list is the SageMaker Python SDK's own (`sagemaker/image_uri_config/mxnet.json`), of the version that is installed. A region
where SageMaker is and these images are not is in the mapping too, without an account, since a lookup of a key that is missing
fails before the template's rule can say what to do.
"""

import datetime
import importlib.metadata
import importlib.resources
import json
import re
import textwrap
from pathlib import Path

import botocore.session

TEMPLATE = Path(__file__).parents[1] / "template.yaml"
VERSION = "1.9.0"
SCOPES = ("training", "inference")
NOWHERE = ""
_BLOCK = r"(?m)^( *)# BEGIN {name}\n(?:.*\n)*?\1# END {name}\n"


def accounts() -> dict[str, str]:
    """The account that keeps the images, by region. Raises ValueError if training and serving differ in it."""
    known = json.loads((importlib.resources.files("sagemaker") / "image_uri_config" / "mxnet.json").read_text())
    training, inference = (known[scope]["versions"][VERSION]["registries"] for scope in SCOPES)
    if training != inference:
        raise ValueError(
            "The images of training and of serving lie in different accounts: the mapping needs one for each."
        )
    return dict(sorted(training.items()))


def regions_without() -> list[str]:
    """Regions that have SageMaker, in any partition, and no such images."""
    session, have = botocore.session.get_session(), accounts()
    found = {
        region
        for partition in session.get_available_partitions()
        for region in session.get_available_regions("sagemaker", partition_name=partition)
    }
    return sorted(found - have.keys())


def blocks(today: datetime.date) -> dict[str, str]:
    """The generated parts of the template by name, without indentation."""
    version = importlib.metadata.version("sagemaker")
    lines = [f"# As sagemaker {version} lists them, {today:%Y-%m-%d}; made by `make images`.", "MXNetImages:"]
    lines += [f'  {region}: {{Account: "{account}"}}' for region, account in accounts().items()]
    lines += [f'  {region}: {{Account: "{NOWHERE}"}}' for region in regions_without()]
    regions = "\n".join(
        textwrap.wrap(f"- [{', '.join(accounts())}]", 108, subsequent_indent="   ", break_on_hyphens=False)
    )
    return {"images": "\n".join(lines), "regions": regions}


def write(template: str, today: datetime.date) -> str:
    """`template` with its generated parts made anew."""
    for name, text in blocks(today).items():
        pattern = re.compile(_BLOCK.format(name=name))
        found = pattern.search(template)
        if found is None:
            raise ValueError(f"template.yaml has no lines '# BEGIN {name}' and '# END {name}'")
        indent = found[1]
        body = textwrap.indent(f"# BEGIN {name}\n{text}\n# END {name}\n", indent)
        template = template[: found.start()] + body + template[found.end() :]
    return template


if __name__ == "__main__":
    TEMPLATE.write_text(write(TEMPLATE.read_text(), datetime.datetime.now(datetime.UTC).date()))
