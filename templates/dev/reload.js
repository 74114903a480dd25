/* Put into every page by `gitdeploy dev`: loads it again when the site was built anew, shows why it was not. */
(() => {
  const shown = new URL(document.currentScript.src).search.slice(1)
  let panel = null

  const panelFor = ({ message, hint, log }) => {
    const host = document.createElement("gitdeploy-problem")
    const box = document.createElement("section")
    box.style.cssText =
      "position:fixed;inset:auto 0 0;z-index:2147483647;max-height:60vh;overflow:auto;margin:0;padding:1rem 1.25rem;" +
      "font:14px/1.5 system-ui,sans-serif;color:#efece6;background:#171614;border-top:4px solid #f08a5d"
    box.setAttribute("role", "alert")
    for (const [kind, text] of [["strong", message], ["p", hint], ["pre", log.join("\n")]]) {
      if (!text) continue
      const part = document.createElement(kind)
      part.style.cssText = "display:block;margin:0 0 .5rem;white-space:pre-wrap;overflow-wrap:anywhere"
      part.textContent = text
      box.append(part)
    }
    host.attachShadow({ mode: "open" }).append(box)
    return host
  }

  const reload = (version) => {
    if (sessionStorage.getItem("gitdeploy-reloaded-for") === version) return // a service worker's old page
    sessionStorage.setItem("gitdeploy-reloaded-for", version)
    location.reload()
  }

  new EventSource("/_gitdeploy/events").onmessage = (event) => {
    const { version, problem } = JSON.parse(event.data)
    if (version !== shown) return reload(version)
    panel?.remove()
    panel = problem && panelFor(problem)
    if (panel) document.documentElement.append(panel)
  }
})()
