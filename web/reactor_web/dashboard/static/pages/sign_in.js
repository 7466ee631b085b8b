// Where the server wants to know who asks: a token, kept in this tab, sent as a header.
import { html, useState, useTitle } from "../ui.js";
import { session } from "../session.js";

export function SignIn() {
  useTitle("Sign in");
  const [token, setToken] = useState("");
  const [isBusy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    setBusy(true);
    await session.signIn(token);
    setBusy(false);
  };
  return html`<main class="sign-in"><form onSubmit=${submit}>
    <h1>Sign in</h1>
    <p>This server asks who you are. Give a key (<code>reactor keys add</code>) or a token.</p>
    <label for="token">Key or token</label>
    <input id="token" type="password" autocomplete="off" spellcheck="false" required value=${token} onInput=${(event) => setToken(event.target.value)} />
    ${session.error && html`<p class="help bad" role="alert">${session.error.message}</p>`}
    <button class="main" disabled=${isBusy || !token.trim()}>Sign in</button>
    <p class="dim">It is kept until this tab is closed.</p>
  </form></main>`;
}
