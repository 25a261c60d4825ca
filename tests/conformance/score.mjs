// Scores one run of the suite: node score.mjs PACKAGE REVISION RESULTS TOTAL [EXPECTED]
//
// PACKAGE is the installed suite, RESULTS the directory it wrote, TOTAL how many scenarios the revision scores. EXPECTED
// names the checks that may fail, one `scenario:check-id` a line with a comment that says why. A failure that is not in it
// counts against the run, and so does an entry that passes. A warning counts as a failure: nothing here needs one.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

const [packageDir, revision, results, total, expectedFile] = process.argv.slice(2);

const scored = scoredScenarios(readFileSync(join(packageDir, "requirements", `${revision}.yaml`), "utf8"));
const expected = expectedFile && existsSync(expectedFile) ? entries(readFileSync(expectedFile, "utf8")) : new Set();

const problems = [];
let passed = 0;
const seen = new Set();
for (const scenario of scored) {
  const checks = checksOf(scenario);
  const failed = checks.filter(({ status }) => status === "FAILURE" || status === "WARNING");
  const succeeded = checks.some(({ status }) => status === "SUCCESS");
  if (failed.length === 0 && succeeded) passed += 1;
  if (checks.length === 0) problems.push(`${scenario}: no result`);
  for (const check of failed) {
    const name = `${scenario}:${check.id}`;
    seen.add(name);
    if (!expected.has(name)) problems.push(`${name}: ${check.errorMessage ?? check.status}`);
  }
}
for (const name of expected) {
  if (!seen.has(name)) problems.push(`${name}: expected to fail and did not; remove the entry`);
}
if (scored.length !== Number(total)) problems.push(`the suite scores ${scored.length} scenarios, not ${total}`);

const known = expected.size > 0 ? ` (${expected.size} expected failures)` : "";
console.log(`${passed}/${scored.length}${known}`);
for (const problem of problems) console.error(`    ${problem}`);
process.exitCode = problems.length === 0 ? 0 : 1;

// The `server:` list of the requirements file.
function scoredScenarios(yaml) {
  const names = [];
  let inServer = false;
  for (const line of yaml.split("\n")) {
    if (/^\S/.test(line) && !line.startsWith("#")) inServer = line.startsWith("server:");
    const item = /^\s+- ([\w.-]+)\s*$/.exec(line);
    if (inServer && item) names.push(item[1]);
  }
  return names;
}

function entries(text) {
  const lines = text.split("\n").map((line) => line.replace(/#.*/, "").trim());
  return new Set(lines.filter((line) => line !== ""));
}

// Each scenario's results are in a directory `server-SCENARIO-TIME`.
function checksOf(scenario) {
  const directory = readdirSync(results).find((name) => name.replace(/-\d{4}-\d\d-\d\dT.*$/, "") === `server-${scenario}`);
  return directory ? JSON.parse(readFileSync(join(results, directory, "checks.json"), "utf8")) : [];
}
