// Runs docs/clients/eventsource.js as a page would: with an EventSource, and a cookie that goes with every request.
// node eventsource.mjs <page>
import { EventSource } from '../../api/web/node_modules/eventsource/dist/index.js'

const { PLANNER_URL, PLANNER_TOKEN } = process.env
const { fetch } = globalThis
globalThis.fetch = (path, init) =>
  fetch(new URL(path, PLANNER_URL), { ...init, headers: { ...init?.headers, Cookie: `__session=${PLANNER_TOKEN}` } })
globalThis.EventSource = class extends EventSource {
  constructor(path) {
    super(new URL(path, PLANNER_URL), { fetch: globalThis.fetch })
  }
}
// The package does not keep a process alive while it waits to come back.
const alive = setInterval(() => {}, 1000)
const { create, watch } = await import('../../docs/clients/eventsource.js')
const { jobId } = await create({ pageOrComponent: process.argv[2], featureType: 'enhancement', priorityLevel: 'high' })
const job = await watch(jobId, (text) => console.error('text', text.length))
clearInterval(alive)
if (job.status !== 'completed') throw new Error(job.error?.message ?? job.status)
console.log(job.text)
