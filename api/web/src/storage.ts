/** Small things remembered in this browser; nothing where the browser does not allow it. */

const PREFIX = 'feature-planner:'

/** `session`: for this tab alone. */
type Where = 'local' | 'session'

export const remembered = (name: string, where: Where = 'local'): unknown => {
  try {
    return JSON.parse(storageOf(where).getItem(PREFIX + name) ?? 'null')
  } catch {
    return null
  }
}

/** Null forgets it. */
export const remember = (name: string, value: unknown, where: Where = 'local'): void => {
  try {
    if (value === null) {
      storageOf(where).removeItem(PREFIX + name)
    } else {
      storageOf(where).setItem(PREFIX + name, JSON.stringify(value))
    }
  } catch {
    // Private windows of some browsers, or a full disk: then it is not remembered.
  }
}

/** Throws where the browser does not allow it. */
const storageOf = (where: Where): Storage => (where === 'local' ? localStorage : sessionStorage)
