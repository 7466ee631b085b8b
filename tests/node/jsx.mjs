// Compiles JSX from stdin, as a bundler does, and prints the module: with React's automatic runtime.
import { readFileSync } from "node:fs";
import ts from "typescript";

const { JsxEmit, ModuleKind, ScriptTarget } = ts;
const compilerOptions = { jsx: JsxEmit.ReactJSX, module: ModuleKind.ESNext, target: ScriptTarget.ES2022 };
const { outputText, diagnostics } = ts.transpileModule(readFileSync(0, "utf8"), {
  compilerOptions, fileName: "snippet.jsx", reportDiagnostics: true,
});
for (const { messageText } of diagnostics) throw new SyntaxError(ts.flattenDiagnosticMessageText(messageText, "\n"));
process.stdout.write(outputText);
