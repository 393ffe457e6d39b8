import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const FOLDER = join(import.meta.dirname, '../src/client')
const IMPORT = /(?:from|import)\s+'([^']+)'/gu

describe('the client folder', () => {
  it('can be copied as it is: it needs nothing but eventsource-parser', () => {
    const imported = readdirSync(FOLDER).flatMap((name) =>
      [...readFileSync(join(FOLDER, name), 'utf8').matchAll(IMPORT)].map(([, from]) => from ?? ''),
    )
    expect(imported.length).toBeGreaterThan(5)
    const outside = imported.filter((from) => !/^\.\/[\w.-]+\.ts$/u.test(from))
    expect(new Set(outside)).toEqual(new Set(['eventsource-parser']))
  })
})
