"""Launches a run through GraphQL and waits for it: launch_run.py URL LOCATION JOB TIMEOUT ASSETS (a JSON list)."""

import json
import sys
import time
import urllib.request

LAUNCH = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on PipelineNotFoundError { message }
    ... on RunConfigValidationInvalid { errors { message } }
    ... on InvalidSubsetError { message }
    ... on UnauthorizedError { message }
  }
}
"""
STATUS = """
query ($runId: ID!) { runOrError(runId: $runId) { __typename ... on Run { status } } }
"""
REPOSITORY = """
query ($selector: String!) {
  workspaceLocationEntryOrError(name: $selector) {
    ... on WorkspaceLocationEntry {
      locationOrLoadError {
        __typename
        ... on RepositoryLocation { repositories { name } }
        ... on PythonError { message }
      }
    }
  }
}
"""


def main(url: str, location: str, job: str, timeout: float, assets: list[str]) -> str | None:
    """Launch a run and wait for its end; return the error, or None if the run succeeded."""
    entry = ask(url, REPOSITORY, {"selector": location})["workspaceLocationEntryOrError"] or {}
    loaded = entry.get("locationOrLoadError") or {}
    if loaded.get("__typename") != "RepositoryLocation":
        return f"The code location {location} is not loaded: {loaded.get('message', 'no code location has this name')}"
    selector = {
        "repositoryLocationName": location,
        "repositoryName": loaded["repositories"][0]["name"],
        "jobName": job,
    }
    if assets:
        selector["assetSelection"] = [{"path": asset.split("/")} for asset in assets]
    launched = ask(url, LAUNCH, {"params": {"selector": selector, "mode": "default"}})["launchRun"]
    if launched["__typename"] != "LaunchRunSuccess":
        return f"The run was not launched: {json.dumps(launched)}"
    run_id = launched["run"]["runId"]
    print(f"Launched run {run_id} of {job}", flush=True)
    started = time.monotonic()
    while time.monotonic() - started < timeout:
        status = ask(url, STATUS, {"runId": run_id})["runOrError"].get("status")
        if status == "SUCCESS":
            print(f"The run succeeded after {time.monotonic() - started:.0f} s")
            return None
        if status in ("FAILURE", "CANCELED"):
            return f"Run {run_id} ended with {status}: see its log in the UI"
        time.sleep(2)
    return f"Run {run_id} did not end within {timeout:.0f} s: its status is {status}"


def ask(url: str, query: str, variables: dict) -> dict:
    """Send a GraphQL query; return the data of the response."""
    body = json.dumps({"query": query, "variables": variables}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as response:
        answer = json.load(response)
    if answer.get("errors"):
        sys.exit(f"{url} answered: {json.dumps(answer['errors'])}")
    return answer["data"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]), json.loads(sys.argv[5])))
