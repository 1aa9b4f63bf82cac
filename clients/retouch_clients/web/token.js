// The token by which the server keeps this tab's turns: a refresh and a way back have it again, another tab has its own.
() => {
  const key = "retouch-turns";
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
  // a page that the browser had put aside has lost its server side
  window.addEventListener("pageshow", event => event.persisted && location.reload());
  try {
    const token = sessionStorage.getItem(key) || fresh();
    sessionStorage.setItem(key, token);
    return [token];
  } catch {
    return [""];  // a browser that stores nothing
  }
}
