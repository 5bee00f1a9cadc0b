// Builds every file a tablet loads: one script and one style sheet per audience, icon sprites, and the list of them.
//
// Usage: node build.mjs <output folder>. Names carry a hash of the content, so that they can be cached for ever;
// manifest.json maps the plain name to the hashed one. Each file has a .gz sibling: plain HTTP has no brotli.

import { createHash } from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import zopfli from "@gfx/zopfli";
import * as esbuild from "esbuild";

const here = path.dirname(fileURLToPath(import.meta.url));
const out = path.resolve(process.argv[2] || path.join(here, "static"));
const scripts = ["learner", "teacher", "courier"];
const styles = ["learner", "staff"];
const sprites = ["ui", "avatars", "pictures"];
const allowedLicences = ["MIT", "ISC", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "0BSD"];

const options = { bundle: true, minify: true, write: false, metafile: true, legalComments: "none", logLevel: "error" };

// Chrome knows logical properties only from 69 to 89 on, so each direction gets a sheet with left and right written out.
function physical(css, direction) {
  const [start, end] = direction === "rtl" ? ["right", "left"] : ["left", "right"];
  return css
    .replace(/\binset-inline-start\b/g, start)
    .replace(/\binset-inline-end\b/g, end)
    .replace(/\binline-start\b/g, start)
    .replace(/\binline-end\b/g, end)
    .replace(/text-align: start\b/g, `text-align: ${start}`)
    .replace(/text-align: end\b/g, `text-align: ${end}`)
    .replace(/var\(--towards-end\)/g, direction === "rtl" ? "-1" : "1");
}

function directionPlugin(direction) {
  return {
    name: "direction",
    setup(build) {
      build.onLoad({ filter: /\.css$/ }, (file) => ({
        contents: physical(fs.readFileSync(file.path, "utf8"), direction),
        loader: "css",
      }));
    },
  };
}

async function bundleScript(name) {
  const entry = path.join(here, "src", `${name}.js`);
  return esbuild.build({ ...options, entryPoints: [entry], format: "iife", target: "es2015", charset: "utf8" });
}

async function bundleStyle(name, direction) {
  const entry = path.join(here, "src", `${name}.css`);
  return esbuild.build({ ...options, entryPoints: [entry], target: "chrome64", plugins: [directionPlugin(direction)] });
}

function sprite(name) {
  const folder = path.join(here, "icons", name);
  const symbols = fs.readdirSync(folder).sort().map((file) => {
    const svg = fs.readFileSync(path.join(folder, file), "utf8");
    const [, attributes, body] = svg.match(/^<svg([^>]*)>([\s\S]*)<\/svg>\s*$/);
    const kept = attributes.replace(/\sxmlns="[^"]*"/, "").trim();
    return `<symbol id="${path.basename(file, ".svg")}" ${kept}>${body.replace(/>\s+</g, "><").trim()}</symbol>`;
  });
  return Buffer.from(`<svg xmlns="http://www.w3.org/2000/svg">${symbols.join("")}</svg>`);
}

function packagesIn(metafiles) {
  const names = new Set();
  for (const input of metafiles.flatMap((metafile) => Object.keys(metafile.inputs))) {
    const found = input.match(/node_modules\/((?:@[^/]+\/)?[^/]+)\//);
    if (found) names.add(found[1]);
  }
  return [...names].sort();
}

function licenceOf(name) {
  const folder = path.join(here, "node_modules", name);
  const described = JSON.parse(fs.readFileSync(path.join(folder, "package.json"), "utf8"));
  if (!allowedLicences.includes(described.license)) throw new Error(`${name}: licence ${described.license} is not allowed`);
  const file = fs.readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  if (!file) throw new Error(`${name}: has no licence text`);
  const text = fs.readFileSync(path.join(folder, file), "utf8").trim();
  return `${name} ${described.version} (${described.license})\n\n${text}\n`;
}

async function place(manifest, plainName, content) {
  const { name, ext } = path.parse(plainName);
  const hash = createHash("sha256").update(content).digest("hex").slice(0, 12);
  const hashedName = `${name}.${hash}${ext}`;
  const packed = await zopfli.gzipAsync(content, { numiterations: 30 });
  fs.writeFileSync(path.join(out, hashedName), content);
  fs.writeFileSync(path.join(out, `${hashedName}.gz`), packed);
  manifest[plainName] = { name: hashedName, size_bytes: content.length, gzip_bytes: packed.length };
}

fs.rmSync(out, { recursive: true, force: true });
fs.mkdirSync(out, { recursive: true });
const manifest = {};
const metafiles = [];
for (const name of scripts) {
  const built = await bundleScript(name);
  metafiles.push(built.metafile);
  await place(manifest, `${name}.js`, Buffer.from(built.outputFiles[0].contents));
}
for (const name of styles) {
  for (const direction of ["ltr", "rtl"]) {
    const built = await bundleStyle(name, direction);
    await place(manifest, `${name}.${direction}.css`, Buffer.from(built.outputFiles[0].contents));
  }
}
for (const name of sprites) await place(manifest, `${name}.svg`, sprite(name));
fs.writeFileSync(path.join(out, "manifest.json"), `${JSON.stringify(manifest, null, 1)}\n`);
const licences = packagesIn(metafiles).map(licenceOf).join(`\n${"-".repeat(72)}\n\n`);
fs.writeFileSync(path.join(out, "THIRD_PARTY_LICENSES.txt"), licences);
