// The key under which the server stores this tab's turns. It survives a refresh; each tab has its own.
() => {
  const key = "retouch-turns";
  const fresh = () => Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, "0")).join("");
  // a page from the browser's back/forward cache has lost its session
  window.addEventListener("pageshow", event => event.persisted && location.reload());
  try {
    const token = sessionStorage.getItem(key) || fresh();
    sessionStorage.setItem(key, token);
    return [token];
  } catch {
    return [""];  // storage is disabled
  }
}
