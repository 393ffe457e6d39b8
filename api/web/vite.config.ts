import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import tailwindcss from '@tailwindcss/vite'
import react from '@vitejs/plugin-react'
import type { Plugin } from 'vite'
import { defineConfig } from 'vitest/config'

const STATIC = join(import.meta.dirname, '../static')
const COMPRESSIBLE = /\.(?:html|js|css|svg)$/

/** Puts a .br and a .gz beside each file, which is what api/resources/pages.py serves. */
const precompressed = (): Plugin => ({
  name: 'precompressed',
  apply: 'build',
  closeBundle: async () => {
    const entries = await readdir(STATIC, { recursive: true, withFileTypes: true })
    const files = entries.filter((entry) => entry.isFile() && COMPRESSIBLE.test(entry.name))
    await Promise.all(files.map((entry) => compress(join(entry.parentPath, entry.name))))
  },
})

const compress = async (path: string): Promise<void> => {
  const content = await readFile(path)
  const params = { [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY }
  await writeFile(`${path}.br`, await promisify(brotliCompress)(content, { params }))
  await writeFile(`${path}.gz`, await promisify(gzip)(content, { level: constants.Z_BEST_COMPRESSION }))
}

export default defineConfig({
  plugins: [react(), tailwindcss(), precompressed()],
  build: {
    outDir: STATIC,
    emptyOutDir: true,
    // The Content-Security-Policy allows no data: URLs.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
  server: { proxy: { '/api': 'http://127.0.0.1:8000' } },
  test: {
    include: ['tests/**/*.test.{ts,tsx}'],
    // The longest takes 0.3 s alone; on a loaded machine of two cores it was seen to take more than vitest's 5 s.
    testTimeout: 60_000,
    // Only the hook's tests need a document; they say so themselves.
    environment: 'node',
    restoreMocks: true,
    // One process a file costs more than the tests themselves.
    isolate: false,
  },
})
