"""CATAPULT's test suite for systems that launch cmi5 (adlnet/CATAPULT, its folder lts), run against a box on loopback.

The suite is not part of the project. Fetch it, run `npm ci` in `lts` and `npx webpack` in `lts/pkg` (under Node.js 17
and later with `NODE_OPTIONS=--openssl-legacy-provider`), and name the folder:

    EDGEBOX_CMI5_SUITE=/path/to/CATAPULT/lts python -m tests.conformance.cmi5_suite [package] [runtime]

It drives a browser: Debian's Chromium, or the one that `PUPPETEER_EXECUTABLE_PATH` names.
"""

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from subprocess import DEVNULL, run

from tests.conformance.lrs_suite import Outcome, serving_box

FOLDER = os.environ.get("EDGEBOX_CMI5_SUITE", "")
SUITES = ("package", "runtime")
TIMEOUT_SECONDS = 900
_BROWSER = {"launch": {"headless": True, "args": ["--no-sandbox"]}}
# What the suite asks of whoever runs it: a script that turns its questions into requests.
_ADAPTER = """
const {createRequire} = require("module");
const suite = createRequire(process.env.EDGEBOX_CMI5_SUITE + "/package.json");
const Wreck = suite("@hapi/wreck"), {InvalidPackageError} = suite("./lib/errors"), {randomUUID} = require("crypto");
const box = process.env.EDGEBOX_ADDRESS;
const Authorization = "Basic " + Buffer.from(process.env.EDGEBOX_LOGIN).toString("base64");
let courses = [];
const ask = async (method, path, type, payload) => {
    const answer = await Wreck.request(method, box + path, {headers: {Authorization, "Content-Type": type}, payload});
    const body = (await Wreck.read(answer)).toString();
    return {status: answer.statusCode, body};
};
const tell = async (path, fields) => {
    const {status, body} = await ask("POST", path, "application/json", JSON.stringify(fields));
    if (status >= 300) {
        throw new Error(`${path}: ${status} ${body}`);
    }
    return body && JSON.parse(body);
};
module.exports = {
    setup: async () => {},
    teardown: async () => {},
    getLrsEndpoint: () => box + "/xapi",
    getLrsAuthHeader: () => Authorization,
    importCourse: async (stream, type) => {
        const {status, body} = await ask("POST", "/cmi5/courses", type, stream);
        if ([400, 413, 415, 422].includes(status)) {
            throw new InvalidPackageError(body);
        }
        if (status !== 201) {
            throw new Error(`${status} ${body}`);
        }
        courses.push(JSON.parse(body).id);
        return courses[courses.length - 1];
    },
    getLaunchUrl: async (course, unit, actor, {registration, launchMode}) => {
        const fields = {actor, registration: registration || randomUUID(), launchMode};
        return (await tell(`/cmi5/courses/${course}/units/${unit}/launch`, fields)).url;
    },
    cleanup: async () => {
        for (const course of courses) {
            await ask("DELETE", `/cmi5/courses/${course}`, "application/json", "");
        }
        courses = [];
    },
    hasWaive: () => true,
    waiveAU: (registration, unit, reason) => tell(`/cmi5/registrations/${registration}/units/${unit}/waive`, {reason}),
    hasAbandon: () => true,
    abandonSession: (session) => tell(`/cmi5/sessions/${session}/abandon`, {}),
};
"""


def run_suite(name: str, folder: Path) -> Outcome:
    """Run one of the two parts of the suite against a new box with a new credential. Blocks."""
    with tempfile.TemporaryDirectory() as made, serving_box(Path(made), may_launch=True) as served:
        address, login, secret = served
        adapter, browser, report = Path(made) / "adapter.js", Path(made) / "browser.js", Path(made) / "report.json"
        adapter.write_text(_ADAPTER)
        browser.write_text(f"module.exports = {json.dumps(_BROWSER)};")
        environment = {
            "PUPPETEER_EXECUTABLE_PATH": shutil.which("chromium") or "",
            **os.environ,
            "EDGEBOX_ADDRESS": address,
            "EDGEBOX_LOGIN": f"{login}:{secret}",
            "CATAPULT_LMS": str(adapter),
            "JEST_PUPPETEER_CONFIG": str(browser),
        }
        command = ["npx", "jest", f"__tests__/{name}.js", "--json", f"--outputFile={report}", "--testTimeout=60000"]
        run(command, cwd=folder, env=environment, check=False, timeout=TIMEOUT_SECONDS, stdout=DEVNULL, stderr=DEVNULL)
        result = json.loads(report.read_text())
    failures = [
        f"{case['fullName']}: {' '.join(case['failureMessages'])}"
        for one in result["testResults"]
        for case in one["assertionResults"]
        if case["status"] != "passed"
    ]
    return Outcome(result["numTotalTests"], result["numPassedTests"], failures)


def main() -> None:
    """Print the figures for the parts that are named, or for both."""
    for name in sys.argv[1:] or SUITES:
        outcome = run_suite(name, Path(FOLDER))
        print(f"cmi5 {name}: {outcome.passed} of {outcome.total}")
        for failure in outcome.failures:
            print(f"  {failure[:1200]}")


if __name__ == "__main__":
    main()
