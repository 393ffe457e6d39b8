// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from '@tanstack/react-query'
import { act, cleanup, renderHook, waitFor } from '@testing-library/react'
import type { ReactNode } from 'react'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { KeptRequest } from '../src/kept/record.ts'
import type { SuggestFeatureRequest } from '../src/client/types.gen.ts'
import { useSuggestFeature } from '../src/use-suggest-feature.ts'
import { bytesOf, received } from './golden.ts'

const INPUT: SuggestFeatureRequest = { pageOrComponent: 'Checkout', featureType: 'enhancement', priorityLevel: 'low' }
const JOB = '/api/feature-planner/suggest-feature'

interface Request {
  method: string
  path: string
  key: string | null
}

let requests: Request[] = []
let kept: KeptRequest[] = []
let refusals: (() => Promise<Response>)[] = []

const answer = async (path: string, init: RequestInit): Promise<Response> => {
  const method = init.method ?? 'GET'
  requests.push({ method, path, key: new Headers(init.headers).get('Idempotency-Key') })
  if (method === 'POST') {
    const refusal = refusals.shift()
    return refusal ? refusal() : Response.json({ jobId: `job-${requests.length}`, createdAt: 1 }, { status: 202 })
  }
  if (new Headers(init.headers).get('Accept') === 'application/json') {
    return Response.json({ input: INPUT })
  }
  // As a real stream would: the text, then its end, and no end of the response before the reader has it.
  return new Response(bytesOf(received('happy-path')) as BodyInit, { headers: { 'Content-Type': 'text/event-stream' } })
}

const creations = () => requests.filter(({ method }) => method === 'POST')

const render = () => {
  const queries = new QueryClient({ defaultOptions: { mutations: { networkMode: 'always' } } })
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={queries}>{children}</QueryClientProvider>
  )
  return renderHook(() => useSuggestFeature({ timeoutMs: 120_000, onKeep: (record) => kept.push(record) }), { wrapper }).result
}

describe('useSuggestFeature', () => {
  beforeEach(() => {
    requests = []
    refusals = []
    kept = []
    history.replaceState(null, '', '/')
    vi.spyOn(Math, 'random').mockReturnValue(0)
    vi.stubGlobal('fetch', answer)
  })

  afterEach(() => {
    cleanup()
    vi.unstubAllGlobals()
  })

  it('goes from idle to the answer, and puts the job into the address', async () => {
    const hook = render()
    expect(hook.current.phase).toBe('idle')
    act(() => hook.current.submit(INPUT))
    expect(hook.current.phase).toBe('creating')
    await waitFor(() => expect(hook.current.phase).toBe('complete'))
    expect(location.search).toBe(`?job=${hook.current.jobId}`)
    expect(hook.current.job.suggestions).not.toHaveLength(0)
  })

  it('hands over each request to be kept, as it is made and as it ends', async () => {
    const hook = render()
    act(() => hook.current.submit(INPUT))
    await waitFor(() => expect(hook.current.phase).toBe('complete'))
    expect(kept.map(({ jobId, input, job }) => [jobId, input, job.status])).toEqual([
      ['job-1', INPUT, 'pending'],
      ['job-1', INPUT, 'completed'],
    ])
  })

  it('can be cancelled while the server has not answered, and cancels what comes of it', async () => {
    let answerCreation: (response: Response) => void = () => undefined
    refusals = [() => new Promise((resolve) => { answerCreation = resolve })]
    const hook = render()
    act(() => hook.current.submit(INPUT))
    await waitFor(() => expect(creations()).toHaveLength(1))
    act(() => hook.current.cancel())
    expect(hook.current.trouble?.kind).toBe('cancelled')
    answerCreation(Response.json({ jobId: 'late', createdAt: 1 }, { status: 202 }))
    await waitFor(() => expect(requests).toContainEqual({ method: 'DELETE', path: `${JOB}/late`, key: null }))
    expect(hook.current.trouble?.kind).toBe('cancelled')
    expect(hook.current.jobId).toBeNull()
  })

  it('cancels what comes of each of several requests that were cancelled before the server had answered', async () => {
    const answers: ((response: Response) => void)[] = []
    refusals = Array.from({ length: 2 }, () => () => new Promise((resolve) => answers.push(resolve)))
    const hook = render()
    for (const number of [1, 2]) {
      act(() => hook.current.submit(INPUT))
      await waitFor(() => expect(creations()).toHaveLength(number))
      act(() => hook.current.cancel())
    }
    answers.forEach((resolve, index) => resolve(Response.json({ jobId: `late-${index}`, createdAt: 1 }, { status: 202 })))
    for (const id of ['late-0', 'late-1']) {
      await waitFor(() => expect(requests).toContainEqual({ method: 'DELETE', path: `${JOB}/${id}`, key: null }))
    }
    // They stay in the list, where their end is seen.
    expect(kept.map(({ jobId }) => jobId)).toEqual(['late-0', 'late-1'])
  })

  it('makes one job of two quick submits', async () => {
    const hook = render()
    act(() => {
      hook.current.submit(INPUT)
      hook.current.submit(INPUT)
    })
    await waitFor(() => expect(hook.current.phase).toBe('complete'))
    expect(creations()).toHaveLength(1)
  })

  it('asks once more with the same key when nobody answered', async () => {
    refusals = [() => Promise.reject(new TypeError('failed to fetch'))]
    const hook = render()
    act(() => hook.current.submit(INPUT))
    await waitFor(() => expect(hook.current.phase).toBe('complete'), { timeout: 3_000 })
    expect(creations()).toHaveLength(2)
    expect(creations()[0]?.key).toBe(creations()[1]?.key)
  })

  it('retries with the same input and a fresh key', async () => {
    refusals = [() => Promise.resolve(Response.json({ detail: 'Busy.' }, { status: 503 }))]
    const hook = render()
    act(() => hook.current.submit(INPUT))
    await waitFor(() => expect(hook.current.phase).toBe('error'))
    expect(hook.current.trouble).toMatchObject({ kind: 'server', detail: 'Busy.' })
    act(() => hook.current.retry())
    await waitFor(() => expect(hook.current.phase).toBe('complete'))
    expect(creations()).toHaveLength(2)
    expect(creations()[0]?.key).not.toBe(creations()[1]?.key)
  })

  it('opens the job in the address, and learns what was asked', async () => {
    history.replaceState(null, '', '/?job=abc')
    const hook = render()
    expect(hook.current.phase).toBe('connecting')
    await waitFor(() => expect(hook.current.phase).toBe('complete'))
    await waitFor(() => expect(hook.current.request).toEqual(INPUT))
    expect(requests.filter(({ path }) => path === `${JOB}/abc`)).toHaveLength(2)
    expect(creations()).toHaveLength(0)
  })

  it('follows the history back to the form', async () => {
    history.replaceState(null, '', '/?job=abc')
    const hook = render()
    await waitFor(() => expect(hook.current.phase).toBe('complete'))
    history.replaceState(null, '', '/')
    act(() => void dispatchEvent(new PopStateEvent('popstate')))
    expect(hook.current.phase).toBe('idle')
  })
})
