// The browser's EventSource, for a page that the API serves or that shares its origin: it sends a cookie, and no token.
// An EventSource comes back by itself after a cut connection, and only then. What it cannot do is done here:
// - it tells no status: after 204, 401, 404, 429 or 503 it is closed for good, and the job as JSON says what happened;
// - its own `error` event, without data, arrives at the same listener as the API's event `error`, which has data;
// - a new one knows nothing of the last, so the last id goes into the address.

const JOBS = '/api/feature-planner/suggest-feature'
const pause = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000))

/** Sends a request until it is answered by something that another try would not change. */
const ask = async (path, init) => {
  for (let failures = 1; ; failures += 1) {
    const answer = await fetch(path, { ...init, headers: { Accept: 'application/json', ...init?.headers } }).catch(() => null)
    if (answer?.ok) return answer.json()
    const isUnsure = answer === null || answer.status >= 500 || answer.status === 408 || answer.status === 429
    if (!isUnsure || failures === 40) throw new Error(answer ? (await answer.json()).detail : 'no answer')
    await pause(Math.max(Number(answer?.headers.get('Retry-After')), Math.min(15, failures)) * (1 + Math.random() / 2))
  }
}

/** Creates one job, however often it has to be asked: the key makes repeating safe. */
export const create = (input) => {
  const headers = { 'Content-Type': 'application/json', 'Idempotency-Key': crypto.randomUUID() }
  return ask(JOBS, { method: 'POST', headers, body: JSON.stringify(input) })
}

/** Resolves with the job as JSON when it is over; `show` gets the text at each event. `signal` ends the watching. */
export const watch = async (jobId, show, signal) => {
  const path = `${JOBS}/${jobId}`
  const seen = { text: '', lastId: '' }
  for (;;) {
    await connect(path, seen, show, signal)
    signal?.throwIfAborted()
    const job = await ask(path)
    if (['completed', 'failed', 'cancelled'].includes(job.status)) return job
    await pause(1 + Math.random()) // closed by a status that has passed meanwhile
  }
}

/** Resolves when the source is closed for good: by the job's last event, by a status, or by the signal. */
const connect = (path, seen, show, signal) =>
  new Promise((resolve) => {
    const source = new EventSource(seen.lastId ? `${path}?lastEventId=${seen.lastId}` : path)
    const close = () => {
      source.close() // or it would come back once more, to be told 204
      signal?.removeEventListener('abort', close)
      resolve()
    }
    const on = (name, act) =>
      source.addEventListener(name, (event) => {
        if (event.data === undefined) return // its own `error`: the connection broke
        seen.lastId = event.lastEventId || seen.lastId
        act(JSON.parse(event.data))
        show(seen.text)
      })
    on('started', () => (seen.text = '')) // another attempt: forget what an earlier one has shown
    on('delta', ({ text }) => (seen.text += text))
    for (const name of ['complete', 'error', 'cancelled']) on(name, close)
    source.addEventListener('error', () => source.readyState === EventSource.CLOSED && close())
    signal?.addEventListener('abort', close)
  })
