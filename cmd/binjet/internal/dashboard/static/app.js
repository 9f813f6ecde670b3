// Puts in what the server sends. Everything works without it, but stands still.
'use strict'

const places = [...document.querySelectorAll('[data-live]')]
const pause = document.getElementById('pause')
const connection = document.getElementById('connection')
const announce = document.getElementById('announce')
let updates = null

// Somebody who reads, selects or has the focus in a place is not to lose it.
function busy(place) {
  const selection = document.getSelection()
  return place.contains(document.activeElement) ||
    (selection && !selection.isCollapsed && place.contains(selection.anchorNode))
}

function put(place, html) {
  if (busy(place)) return
  const before = place.querySelector('[data-say]')?.dataset.say
  place.innerHTML = html
  const after = place.querySelector('[data-say]')?.dataset.say
  if (before !== after) announce.textContent = after
}

function say(text, kind) {
  connection.textContent = text
  connection.className = 'connection ' + kind
}

function connect() {
  updates = new EventSource('/live?of=' + places.map(p => p.dataset.live).join(','))
  updates.onopen = () => say('live', 'ok')
  updates.onerror = () => say(updates.readyState === EventSource.CLOSED ? 'stopped: reload the page' : 'connecting…', 'wait')
  for (const place of places) updates.addEventListener(place.dataset.live, e => put(place, e.data))
}

function toggle() {
  const paused = updates !== null
  if (paused) {
    updates.close()
    updates = null
    say('paused', 'wait')
  } else {
    connect()
  }
  pause.textContent = paused ? 'Resume' : 'Pause'
  pause.setAttribute('aria-pressed', String(paused))
}

if (places.length > 0 && pause) {
  pause.hidden = connection.hidden = false
  pause.addEventListener('click', toggle)
  say('connecting…', 'wait')
  connect()
  window.addEventListener('pagehide', () => updates?.close())
  window.addEventListener('pageshow', e => { if (e.persisted && updates) connect() })
}

for (const all of document.querySelectorAll('[data-all]')) {
  all.hidden = false
  all.addEventListener('change', () => {
    for (const box of document.querySelectorAll('input[name=seq]')) box.checked = all.checked
  })
}

for (const field of document.querySelectorAll('[data-keep]')) {
  try {
    field.value ||= localStorage.getItem(field.dataset.keep) ?? ''
    field.form.addEventListener('submit', () => localStorage.setItem(field.dataset.keep, field.value))
  } catch { /* no storage: it is typed again */ }
}
