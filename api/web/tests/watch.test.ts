import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { ApiError } from '../src/client/api-error.ts'
import { MOST_FAILURES, SIGN_IN_TRIES, STALL_MS } from '../src/client/reconnect.ts'
import { type Connection, GaveUp, watch } from '../src/client/watch.ts'
import { bytesOf, type Received, received } from './golden.ts'

const URL_OF_JOB = '/api/feature-planner/suggest-feature/1'
const happy = received('happy-path')

/** A response whose bytes the test hands out. */
class Stream {
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined
  readonly response = new Response(
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller
      },
    }),
    { headers: { 'Content-Type': 'text/event-stream; charset=utf-8' } },
  )

  send(events: readonly Received[]): this {
    this.#controller?.enqueue(bytesOf(events))
    return this
  }

  say(text: string): this {
    this.#controller?.enqueue(new TextEncoder().encode(text))
    return this
  }

  end(): this {
    this.#controller?.close()
    return this
  }

  breakOff(): this {
    this.#controller?.error(new TypeError('network error'))
    return this
  }
}

type Answer = () => Promise<Response> | Response

const refusal = (status: number, headers: Record<string, string> = {}): Answer => () =>
  Response.json({ title: 'No', status, detail: 'Because.' }, { status, headers })

/** One that nobody answers, until it is aborted. */
const silence = (signal: AbortSignal): Promise<Response> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  })

const start = (...answers: Answer[]) => {
  const requests: Headers[] = []
  const events: Received[] = []
  const connections: Connection[] = []
  vi.stubGlobal('fetch', (_: string, init: RequestInit & { signal: AbortSignal }) => {
    requests.push(new Headers(init.headers))
    const answer = answers[requests.length - 1]
    return answer ? Promise.resolve(answer()) : silence(init.signal)
  })
  const viewing = new AbortController()
  const ending = watch({
    url: URL_OF_JOB,
    signal: viewing.signal,
    onEvent: (event, id) => events.push({ event, id }),
    onConnection: (connection) => connections.push(connection),
  })
  const outcome = ending.then(
    () => 'ended',
    (error: unknown) => error,
  )
  return { requests, events, connections, outcome, viewing }
}

describe('watching a job', () => {
  beforeEach(() => {
    vi.useFakeTimers()
    vi.spyOn(Math, 'random').mockReturnValue(0)
  })

  afterEach(() => {
    vi.useRealTimers()
    vi.unstubAllGlobals()
  })

  it('ends with the final event', async () => {
    const { events, connections, requests, outcome } = start(() => new Stream().send(happy).response)
    expect(await outcome).toBe('ended')
    expect(events).toEqual(happy)
    expect(connections).toEqual([{ state: 'connecting' }, { state: 'open' }])
    expect(requests[0]?.get('Accept')).toBe('text/event-stream')
    expect(requests[0]?.has('Last-Event-ID')).toBe(false)
  })

  it.each(['end', 'breakOff'] as const)('comes back with the last id after the stream %ss', async (how) => {
    const first = new Stream()
    const { events, connections, requests, outcome } = start(
      () => first.response,
      () => new Stream().send(happy.slice(9)).response,
    )
    first.send(happy.slice(0, 9))
    await vi.advanceTimersByTimeAsync(10)
    first[how]()
    await vi.advanceTimersByTimeAsync(999)
    expect(requests).toHaveLength(1)
    expect(connections.at(-1)).toEqual({ state: 'waiting', isFull: false })
    await vi.advanceTimersByTimeAsync(1)
    expect(await outcome).toBe('ended')
    expect(requests[1]?.get('Last-Event-ID')).toBe(happy[8]?.id)
    expect(events).toEqual(happy)
  })

  it('waits as long as the server says with retry:', async () => {
    const first = new Stream().say('retry: 5000\n\n').end()
    const { requests } = start(() => first.response)
    await vi.advanceTimersByTimeAsync(4_999)
    expect(requests).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(1)
    expect(requests).toHaveLength(2)
  })

  it('backs off while nobody answers, and starts afresh once somebody does', async () => {
    const noAnswer: Answer = () => Promise.reject(new TypeError('failed to fetch'))
    const stream = new Stream().send(happy.slice(0, 2)).end()
    const { requests } = start(noAnswer, noAnswer, noAnswer, () => stream.response)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(requests).toHaveLength(2)
    await vi.advanceTimersByTimeAsync(2_000)
    expect(requests).toHaveLength(3)
    await vi.advanceTimersByTimeAsync(4_000)
    expect(requests).toHaveLength(4)
    await vi.advanceTimersByTimeAsync(1_000)
    expect(requests).toHaveLength(5)
  })

  it('comes back at once when the browser is online again', async () => {
    const page = new EventTarget()
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
    const { requests } = start(() => Promise.reject(new TypeError('failed to fetch')))
    await vi.advanceTimersByTimeAsync(10)
    page.dispatchEvent(new Event('online'))
    await vi.advanceTimersByTimeAsync(0)
    expect(requests).toHaveLength(2)
  })

  it.each([400, 403, 404])('takes %i for an answer', async (status) => {
    const { requests, outcome } = start(refusal(status))
    expect(await outcome).toMatchObject({ name: 'ApiError', status, message: 'Because.' })
    expect(requests).toHaveLength(1)
  })

  it('waits for a place when too many streams are open, and says why', async () => {
    const { connections, outcome } = start(refusal(429, { 'Retry-After': '3' }), () => new Stream().send(happy).response)
    await vi.advanceTimersByTimeAsync(2_999)
    expect(connections.at(-1)).toEqual({ state: 'waiting', isFull: true })
    await vi.advanceTimersByTimeAsync(1)
    expect(await outcome).toBe('ended')
  })

  it('comes back after a 503, and after an answer that is no event stream', async () => {
    const portal: Answer = () => new Response('<h1>Log in to the Wi-Fi</h1>', { headers: { 'Content-Type': 'text/html' } })
    const { outcome } = start(refusal(503), portal, () => new Stream().send(happy).response)
    await vi.advanceTimersByTimeAsync(3_000)
    expect(await outcome).toBe('ended')
  })

  it('ends when the server says that there is nothing more', async () => {
    const { outcome } = start(() => new Response(null, { status: 204 }))
    expect(await outcome).toBe('ended')
  })

  it('takes a connection for dead when three keep-alives are missing', async () => {
    const first = new Stream().send(happy.slice(0, 2))
    const { requests } = start(() => first.response)
    await vi.advanceTimersByTimeAsync(STALL_MS - 1)
    first.say(': keep-alive\n\n')
    await vi.advanceTimersByTimeAsync(STALL_MS - 1)
    expect(requests).toHaveLength(1)
    first.breakOff() // what the abort does to a real stream
    await vi.advanceTimersByTimeAsync(1_001)
    expect(requests).toHaveLength(2)
    expect(requests[1]?.get('Last-Event-ID')).toBe(happy[1]?.id)
  })

  it('believes a 401 at the third time: the next token may be a second away', async () => {
    const refused = start(...Array.from({ length: SIGN_IN_TRIES }, () => refusal(401)))
    await vi.advanceTimersByTimeAsync(20_000)
    expect(await refused.outcome).toMatchObject({ name: 'ApiError', status: 401 })
    expect(refused.requests).toHaveLength(SIGN_IN_TRIES)
    const renewed = start(refusal(401), () => new Stream().send(happy).response)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(await renewed.outcome).toBe('ended')
  })

  it('gives up when nobody has answered for some ten minutes', async () => {
    const noAnswer: Answer = () => Promise.reject(new TypeError('failed to fetch'))
    const { outcome, requests } = start(...Array.from({ length: MOST_FAILURES + 1 }, () => noAnswer))
    await vi.advanceTimersByTimeAsync(5 * 60_000)
    expect(requests.length).toBeLessThan(MOST_FAILURES)
    await vi.advanceTimersByTimeAsync(10 * 60_000)
    expect(await outcome).toBeInstanceOf(GaveUp)
  })

  it('makes a silent connection anew when the computer has slept', async () => {
    const { requests } = start()
    await vi.advanceTimersByTimeAsync(10)
    // The lid was closed: no timer ran, and the clock is far on.
    vi.setSystemTime(Date.now() + 3_600_000)
    await vi.advanceTimersByTimeAsync(5_000)
    expect(requests).toHaveLength(2)
  })

  it('keeps a connection that still receives when the page becomes visible again', async () => {
    const page = new EventTarget()
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
    const stream = new Stream().send(happy.slice(0, 2))
    const { requests } = start(() => stream.response)
    await vi.advanceTimersByTimeAsync(10)
    page.dispatchEvent(new Event('pageshow'))
    await vi.advanceTimersByTimeAsync(1_000)
    expect(requests).toHaveLength(1)
  })

  it('works in browsers without AbortSignal.any and AbortSignal.timeout', async () => {
    vi.stubGlobal('AbortSignal', {})
    const { outcome } = start(() => new Stream().send(happy).response)
    expect(await outcome).toBe('ended')
  })

  it('says nothing more once nobody watches', async () => {
    const { viewing, outcome, connections } = start(() => Promise.reject(new TypeError('failed to fetch')))
    await vi.advanceTimersByTimeAsync(10)
    const said = connections.length
    viewing.abort()
    expect(await outcome).toBe('ended')
    await vi.advanceTimersByTimeAsync(120_000)
    expect(connections).toHaveLength(said)
  })

  it('throws errors that others can tell apart', () => {
    expect(new ApiError(404, 'Gone.')).toBeInstanceOf(Error)
    expect(new GaveUp().name).toBe('GaveUp')
  })
})
