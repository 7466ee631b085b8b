// What a user's bundler ships: the code on stdin, which imports of the client of the folder given, with what it needs and
// nothing else (rollup), minified (terser): its bytes as JSON, `{minified, gzip, brotli}`. `node bundle.mjs FOLDER`
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { rollup } from "rollup";
import { minify } from "terser";

const entry = readFileSync(0, "utf-8");
const folder = process.argv[2];
const { exports } = JSON.parse(readFileSync(join(folder, "package.json"), "utf-8"));

/** As a bundler finds the modules of an installed package. */
const installed = {
  name: "installed",
  resolveId(id) {
    if (id === "entry") return id;
    return id.startsWith("reactor-client") ? join(folder, exports[id.replace("reactor-client", ".")].default) : null;
  },
  load: (id) => (id === "entry" ? entry : null),
};

const bundle = await rollup({ input: "entry", plugins: [installed] });
const { output } = await bundle.generate({ format: "es" });
const options = { ecma: 2022, module: true, compress: { passes: 2 } };
const code = Buffer.from((await minify(output[0].code, options)).code);
const sizes = { minified: code.length, gzip: gzipSync(code, { level: 9 }).length, brotli: brotliCompressSync(code).length };
process.stdout.write(JSON.stringify(sizes));
