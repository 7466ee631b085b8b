// Minifies each text of a list (JSON on stdin) as if it were one file without imports and exports; prints them as a list.
import { readFileSync } from "node:fs";
import { minify } from "terser";

const options = { ecma: 2022, module: true, compress: { unused: false, passes: 2 }, mangle: { toplevel: true } };

async function minified(text) {
  const source = text
    .replace(/^(import|export) [^;]*? from "[^"]+";$/gm, "")
    .replace(/^export (?=\w)/gm, "");
  return (await minify(source, options)).code;
}

const texts = JSON.parse(readFileSync(0, "utf-8"));
console.log(JSON.stringify(await Promise.all(texts.map(minified))));
