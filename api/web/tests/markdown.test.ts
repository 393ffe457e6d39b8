import { describe, expect, it } from 'vitest'
import { allMarkdown, fileName, suggestionMarkdown } from '../src/markdown.ts'

const SUGGESTION = {
  title: 'Undo\ninstead',
  rationale: 'People err.',
  description: 'A way back.',
  implementationConsiderations: ['Delay it', 'Say so\naloud'],
  files: [{ path: 'src/app.ts', why: 'starts it' }],
}
const REQUEST = { pageOrComponent: 'Checkout', featureType: 'enhancement', priorityLevel: 'high' } as const
const AT = Date.UTC(2026, 10, 27)

describe('Markdown', () => {
  it('is made of one suggestion', () => {
    expect(suggestionMarkdown(SUGGESTION)).toBe(
      [
        '## Undo instead',
        '',
        '**Why:** People err.',
        '',
        'A way back.',
        '',
        '**Implementation considerations**',
        '',
        '- Delay it',
        '- Say so',
        '  aloud',
        '',
        '**Files**',
        '',
        '- `src/app.ts`: starts it',
        '',
      ].join('\n'),
    )
  })

  it('leaves out what is not there', () => {
    const bare = suggestionMarkdown({ ...SUGGESTION, implementationConsiderations: [], files: [] })
    expect(bare).toBe('## Undo instead\n\n**Why:** People err.\n\nA way back.\n')
  })

  it('is made of all of them, under one heading that says what was asked, and when', () => {
    const suggestions = [SUGGESTION, { ...SUGGESTION, title: 'Two' }]
    const text = allMarkdown({ request: REQUEST, suggestions, answer: null, at: AT })
    expect(text.startsWith('# Feature suggestions: Checkout\n\n- Kind: Enhancement, high priority\n- Date: 2026-11-27\n\n## Undo')).toBe(true)
    expect(text).toContain(': starts it\n\n## Two\n')
    expect(allMarkdown({ request: null, suggestions: [], answer: null, at: AT })).toMatch(/^# Feature suggestions\n/u)
  })

  it('names its file after the page', () => {
    expect(fileName('Checkout / Zahlung & Co.')).toBe('suggestions-checkout-zahlung-co.md')
    expect([fileName(null), fileName('///')]).toEqual(['suggestions.md', 'suggestions.md'])
  })
})
