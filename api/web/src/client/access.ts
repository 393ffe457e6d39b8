/** Holds the address of the API and the token of the user. A page that the API serves itself sets neither: it has a cookie and the same origin. */

export interface Access {
  /** The origin of the API, such as `https://planner.example.com`; empty where it is the page's own. */
  origin: string
  /** Returns a bearer token. It is called before each request, so that an expired token can be replaced. */
  token: (() => string | Promise<string>) | null
}

let access: Access = { origin: '', token: null }

export const configure = (given: Partial<Access>): void => {
  access = { ...access, ...given }
}

type Init = RequestInit & { headers: Record<string, string> }

/** Fetches a path of the API. */
export const send = async (path: string, init: Init): Promise<Response> => {
  if (access.token === null) {
    return fetch(access.origin + path, init)
  }
  const headers = { ...init.headers, Authorization: `Bearer ${await access.token()}` }
  return fetch(access.origin + path, { ...init, headers })
}
