/* What makes the dashboard quick. Every page works without it. Text from the server is only ever set as text. */
(() => {
  "use strict"
  const $ = (selector, within = document) => within.querySelector(selector)
  const all = (selector, within = document) => [...within.querySelectorAll(selector)]
  const make = (name, className, text) => {
    const one = document.createElement(name)
    if (className) one.className = className
    if (text !== undefined) one.textContent = text
    return one
  }
  document.documentElement.classList.add("js")
  for (const one of all(".filter[hidden], .keys[hidden]")) one.hidden = false

  // A form whose work takes a while: told line by line, where it was sent from.
  const kinds = [["=====> ", "line-done"], ["-----> ", "line-step"], [" !     ", "line-problem"]]
  const addLine = (pre, line) => {
    const stays = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 40
    const kind = kinds.find(([begin]) => line.startsWith(begin))
    pre.append(kind ? make("span", kind[1], line) : line, "\n")
    if (stays) pre.scrollTop = pre.scrollHeight
  }
  const lines = async function* (response) {
    const decoder = new TextDecoder()
    let rest = ""
    for (const reader = response.body.getReader(); ;) {
      const { done, value } = await reader.read()
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true })
      const whole = rest.split("\n")
      rest = done ? "" : whole.pop()
      yield* whole.filter((line) => line)
      if (done) return
    }
  }
  const outcome = (panel, kind, texts, link) => {
    const box = make("div", `said ${kind}`)
    box.setAttribute("role", kind === "failed" ? "alert" : "status")
    texts.forEach((text, index) => {
      const p = make("p")
      p.append(index ? text : make("strong", "", text))
      box.append(p)
    })
    if (link) {
      const p = make("p"), a = make("a", "button", link.label)
      a.href = link.go
      p.append(a)
      box.append(p)
      queueMicrotask(() => a.focus({ preventScroll: true }))
    }
    panel.append(box)
    box.scrollIntoView({ block: "nearest" })
  }
  const tell = async (form, submitter) => {
    const body = new URLSearchParams(new FormData(form, submitter))
    const buttons = all("button", form)
    const near = form.closest(".pop, .sure")
    const panel = make("section", "told")
    const going = make("p", "going", "Under way. It goes on if you leave this page.")
    going.setAttribute("role", "status")
    const log = make("pre", "log")
    log.tabIndex = 0
    log.setAttribute("aria-label", "What is being done")
    panel.append(going, log)
    ;(near || form).after(panel)
    if (near) near.open = false
    for (const one of buttons) one.disabled = true
    let last = {}
    try {
      const response = await fetch(form.action, { method: "POST", body, headers: { Accept: "application/x-ndjson" } })
      if ((response.headers.get("Content-Type") || "").includes("ndjson")) {
        for await (const line of lines(response)) {
          const said = JSON.parse(line)
          if (said.said === undefined) last = said
          else for (const one of said.said.replace(/\n$/, "").split("\n")) addLine(log, one)
        }
      } else last = await response.json()
    } catch {
      last = { error: { message: "The connection to the server was lost.", hint: "What was begun goes on: reload the page to see how it ended." } }
    }
    going.remove()
    if (!log.textContent) log.remove()
    if (last.result) {
      outcome(panel, "done", [last.result.says], last.result)
      return refresh(".where", ".tabs")
    }
    const { message, hint } = last.error || { message: "The server said nothing of how it ended.", hint: "Reload the page." }
    outcome(panel, "failed", [message, ...(hint || "").split("\n").filter(Boolean)])
    for (const one of buttons) one.disabled = false
  }
  document.addEventListener("submit", (event) => {
    if (!event.target.matches("[data-told]")) return
    event.preventDefault()
    for (const old of all(".told")) old.remove()
    tell(event.target, event.submitter)
  })

  // The log of a build that is under way.
  for (const pre of all("[data-follow]")) {
    fetch(pre.dataset.follow).then(async (response) => {
      pre.textContent = ""
      for await (const line of lines(response)) addLine(pre, line)
      location.reload()
    }).catch(() => {})
  }

  const refresh = async (...parts) => {
    const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html")
    for (const part of parts) {
      const fresh = $(part, page), old = $(part)
      if (fresh && old) old.replaceChildren(...fresh.childNodes)
    }
  }

  // What is shown is brought up to date when something happened, unless somebody is busy in it.
  const watch = $("[data-watch]")
  const region = $("[data-region]")
  if (watch && region) {
    let known = null
    const look = async () => {
      if (document.hidden || $(".told") || $("details[open]", region) || region.contains(document.activeElement)) return
      const response = await fetch(watch.dataset.watch, { headers: { Accept: "application/json" } })
      if (!response.ok) return
      const now = await response.text()
      if (known !== null && now !== known) {
        await refresh("[data-region]", ".where", ".tabs")
        for (const one of all(".filter[hidden]")) one.hidden = false
        listen()
      }
      known = now
    }
    look()
    setInterval(() => look().catch(() => {}), 4000)
  }

  // Filter rows as one types; find, move and open with the keyboard.
  const rows = () => all("[data-row]").filter((row) => !row.hidden)
  const listen = () => {
    for (const input of all("[data-filter]")) {
      input.oninput = () => {
        const words = input.value.toLowerCase().split(/\s+/).filter(Boolean)
        const within = input.closest("section, main")
        for (const row of all("[data-row]", within)) row.hidden = !words.every((word) => row.textContent.toLowerCase().includes(word))
      }
    }
  }
  listen()
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const typing = event.target.matches("input:not([type=radio]):not([type=checkbox]), textarea, select")
    if (event.key === "Escape") {
      const open = event.target.closest("details[open]")
      if (open) { open.open = false; $("summary", open).focus() } else if (typing) event.target.blur()
    }
    if (typing) return
    if (event.key === "/" && $("[data-filter]")) { event.preventDefault(); $("[data-filter]").focus() }
    if (event.key === "j" || event.key === "k") {
      const list = rows()
      const at = list.findIndex((row) => row.contains(document.activeElement))
      const next = list[Math.min(Math.max(at + (event.key === "j" ? 1 : -1), 0), list.length - 1)]
      if (next) { const goal = $("a, input, summary", next); goal.focus(); next.scrollIntoView({ block: "nearest" }) }
    }
  })
  document.addEventListener("click", (event) => {
    for (const open of all(".pop[open]")) if (!open.contains(event.target)) open.open = false
  })

  // Moments stay true while a page is open.
  const units = [["days", 86400, 172800], ["h", 3600, 7200], ["min", 60, 120]]
  const roughly = (seconds) => {
    const unit = units.find(([, , from]) => seconds >= from)
    return unit ? `${Math.floor(seconds / unit[1])} ${unit[0]}` : `${Math.max(Math.floor(seconds), 0)} s`
  }
  setInterval(() => {
    for (const one of all("time[datetime]")) {
      const seconds = (Date.now() - Date.parse(one.dateTime)) / 1000
      one.textContent = seconds < -1 ? `in ${roughly(-seconds)}` : seconds < 5 ? "just now" : `${roughly(seconds)} ago`
    }
  }, 15000)

  // Copy what has to be stored elsewhere.
  if (navigator.clipboard) {
    for (const code of all("[data-copy]")) {
      const button = make("button", "small", "Copy")
      button.type = "button"
      button.onclick = async () => { await navigator.clipboard.writeText(code.textContent); button.textContent = "Copied" }
      code.after(" ", button)
    }
  }
})()
