// Asks before something is deleted, and renews what changes by itself.
document.addEventListener('submit', event => {
  const by = event.submitter
  const question = (by && by.dataset.confirm) || event.target.dataset.confirm
  if (question && !confirm(question)) event.preventDefault()
})

async function renew() {
  const places = [...document.querySelectorAll('[data-live]')].filter(place => !place.contains(document.activeElement))
  if (places.length && !document.hidden) {
    try {
      const text = await (await fetch(location.href)).text()
      const fresh = new DOMParser().parseFromString(text, 'text/html')
      for (const place of places) {
        const now = fresh.querySelector(`[data-live="${place.dataset.live}"]`)
        if (now && now.innerHTML !== place.innerHTML) place.innerHTML = now.innerHTML
      }
    } catch { /* The simulator ended; what was last seen stays. */ }
  }
  setTimeout(renew, 1000)
}
setTimeout(renew, 1000)
