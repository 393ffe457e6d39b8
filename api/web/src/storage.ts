/** Stores small values in this browser, where the browser allows it. */

const PREFIX = 'feature-planner:'

/** `session` stores a value for this tab only. */
type Where = 'local' | 'session'

export const remembered = (name: string, where: Where = 'local'): unknown => {
  try {
    return JSON.parse(storageOf(where).getItem(PREFIX + name) ?? 'null')
  } catch {
    return null
  }
}

/** Stores a value; null removes it. */
export const remember = (name: string, value: unknown, where: Where = 'local'): void => {
  try {
    if (value === null) {
      storageOf(where).removeItem(PREFIX + name)
    } else {
      storageOf(where).setItem(PREFIX + name, JSON.stringify(value))
    }
  } catch {
    // Private windows of some browsers, or a full disk: the value is not stored.
  }
}

/** Returns the storage. Throws where the browser does not allow it. */
const storageOf = (where: Where): Storage => (where === 'local' ? localStorage : sessionStorage)
