/** Keeps requests and answers in this browser (IndexedDB), or only in memory where the browser does not allow that. */

import { type KeptRequest, MOST_KEPT } from './record.ts'

const DATABASE = 'feature-planner'
const STORE = 'requests'
const BY_TIME = 'createdAt'
/** The page waits no longer than this for the database, which another tab or a damaged profile may block. */
const PATIENCE_MS = 2_000

const memory = new Map<string, KeptRequest>()
let opening: Promise<IDBDatabase | null> | undefined

export const keep = async (record: KeptRequest): Promise<void> => {
  // The first time is kept, since the list is sorted by it.
  const createdAt = (await findKept(record.jobId))?.createdAt ?? record.createdAt
  memory.set(record.jobId, { ...record, createdAt })
  await within('readwrite', (store) => store.put({ ...record, createdAt }))
  const all = await listKept()
  await Promise.all(all.slice(MOST_KEPT).map(({ jobId }) => forget(jobId)))
}

export const findKept = async (jobId: string): Promise<KeptRequest | null> =>
  ((await within('readonly', (store) => store.get(jobId))) as KeptRequest | undefined) ?? memory.get(jobId) ?? null

/** Returns the kept requests, the newest first. */
export const listKept = async (): Promise<KeptRequest[]> => {
  const found = (await within('readonly', (store) => store.index(BY_TIME).getAll())) as KeptRequest[] | undefined
  return (found ?? [...memory.values()]).toSorted((a, b) => b.createdAt - a.createdAt)
}

export const forget = async (jobId: string): Promise<void> => {
  memory.delete(jobId)
  await within('readwrite', (store) => store.delete(jobId))
}

export const forgetAll = async (): Promise<void> => {
  memory.clear()
  await within('readwrite', (store) => store.clear())
}

/** Runs one transaction. Returns undefined where there is no database, or it fails. */
const within = async (mode: IDBTransactionMode, action: (store: IDBObjectStore) => IDBRequest): Promise<unknown> => {
  opening ??= open()
  const database = await opening
  if (database === null) {
    return undefined
  }
  try {
    return await resultOf(action(database.transaction(STORE, mode).objectStore(STORE)))
  } catch {
    return undefined // a full disk, or a database deleted while the page is open
  }
}

const open = async (): Promise<IDBDatabase | null> => {
  try {
    const request = indexedDB.open(DATABASE, 1)
    request.onupgradeneeded = () => {
      request.result.createObjectStore(STORE, { keyPath: 'jobId' }).createIndex(BY_TIME, BY_TIME)
    }
    const patience = new Promise<null>((resolve) => {
      setTimeout(() => resolve(null), PATIENCE_MS)
    })
    return await Promise.race([resultOf(request), patience])
  } catch {
    return null // private windows of some browsers
  }
}

const resultOf = <Result>(request: IDBRequest<Result>): Promise<Result> =>
  new Promise((resolve, reject) => {
    request.addEventListener('success', () => resolve(request.result))
    request.addEventListener('error', () => reject(request.error ?? new Error('the database refused')))
  })
