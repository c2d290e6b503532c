// Runs in the report's page: its source is put there as text, so it may use nothing from outside itself but types.

import type { PageData } from './data.ts'
import type { Level } from './graph-view.ts'

export type GrowthView = {
  show(target: number): void
  /** Errors as they are, or divided by the largest magnitude of the reference at the node. */
  relative(on: boolean): void
  select(node: number | null): void
}

/** The error along the graph on a logarithmic scale: injected as marks, inherited and the bound as lines. */
export function growthView(
  canvas: HTMLCanvasElement,
  data: PageData,
  level: Level,
  onHover: (node: number | null) => void,
  onSelect: (node: number) => void,
): GrowthView {
  const context = canvas.getContext('2d')!
  let target = 0
  let isRelative = true
  let selected: number | null = null
  let hovered: number | null = null
  let pending = false
  const margin = { left: 52, right: 12, top: 10, bottom: 26 }

  const value = (column: readonly (number | string | null)[], i: number): number => {
    const v = column[i]
    if (v === null || v === undefined) return Number.NaN
    const m = Number(data.targets[target]!.magnitude[i])
    return isRelative ? (m > 0 ? Number(v) / m : Number.NaN) : Number(v)
  }
  const order = data.nodes.length
  const xOf = (i: number, width: number): number =>
    margin.left + ((i + 0.5) / order) * (width - margin.left - margin.right)

  const draw = (): void => {
    pending = false
    const ratio = devicePixelRatio || 1
    const [width, height] = [canvas.clientWidth, canvas.clientHeight]
    if (width === 0 || data.targets.length === 0) return
    canvas.width = Math.round(width * ratio)
    canvas.height = Math.round(height * ratio)
    const css = getComputedStyle(document.documentElement)
    const colour = (name: string): string => css.getPropertyValue(`--${name}`).trim()
    const palette = ['none', 'exact', 's1', 's2', 's3', 's4', 'b1', 'b2', 'b3', 'b4'].map(colour)
    const t = data.targets[target]!
    const positive: number[] = []
    for (const column of [t.injected, t.inherited, t.bound]) {
      for (let i = 0; i < order; i++) {
        const v = value(column, i)
        const drawn = column !== t.bound || Number(t.injected[i]) > 0
        if (drawn && v > 0 && Number.isFinite(v)) positive.push(Math.log10(v))
      }
    }
    context.setTransform(ratio, 0, 0, ratio, 0, 0)
    context.clearRect(0, 0, width, height)
    context.font = '11px system-ui, sans-serif'
    if (positive.length === 0) {
      context.fillStyle = colour('muted')
      context.fillText('Every value has the same bits as the reference.', margin.left, height / 2)
      return
    }
    let [low, high] = [Infinity, -Infinity]
    for (const v of positive) {
      low = Math.min(low, v)
      high = Math.max(high, v)
    }
    low = Math.floor(low - 0.2)
    high = Math.max(low + 1, Math.ceil(high + 0.1))
    const bottom = height - margin.bottom
    /** Zero stands on the floor, infinity at the top. */
    const yOf = (v: number): number =>
      v > 0
        ? margin.top +
          (1 - Math.max(0, Math.min(1, (Math.log10(v) - low) / (high - low)))) * (bottom - margin.top - 10)
        : bottom
    const step = Math.max(1, Math.ceil((high - low) / 6))
    context.textAlign = 'right'
    context.textBaseline = 'middle'
    context.lineWidth = 1
    for (let e = low; e <= high; e += step) {
      context.strokeStyle = colour('line')
      context.beginPath()
      context.moveTo(margin.left, yOf(10 ** e))
      context.lineTo(width - margin.right, yOf(10 ** e))
      context.stroke()
      context.fillStyle = colour('muted')
      context.fillText(e === 0 ? '1' : `1e${e}`, margin.left - 6, yOf(10 ** e))
    }
    context.fillStyle = colour('muted')
    context.fillText('0', margin.left - 6, bottom)
    context.textAlign = 'left'
    context.textBaseline = 'alphabetic'
    context.fillText('first node', margin.left, height - 8)
    context.textAlign = 'right'
    context.fillText('last node', width - margin.right, height - 8)

    // The bound of each node is a dash of its own: an exact node between two others has none. Where nothing is injected, no
    // element stands out whose bound could be shown.
    const dash = Math.max(1, (xOf(1, width) - xOf(0, width)) * 0.4)
    context.strokeStyle = colour('bound')
    context.lineWidth = 1.5
    context.beginPath()
    for (let i = 0; i < order; i++) {
      const v = value(t.bound, i)
      if (!(v > 0) || !(Number(t.injected[i]) > 0)) continue
      context.moveTo(xOf(i, width) - dash, yOf(v))
      context.lineTo(xOf(i, width) + dash, yOf(v))
    }
    context.stroke()
    context.strokeStyle = colour('inherited')
    context.beginPath()
    let drawing = false
    for (let i = 0; i < order; i++) {
      const v = value(t.inherited, i)
      if (v > 0) {
        if (drawing) context.lineTo(xOf(i, width), yOf(v))
        else context.moveTo(xOf(i, width), yOf(v))
      }
      drawing = v > 0
    }
    context.stroke()
    const size = order > 1500 ? 1.6 : order > 300 ? 2.4 : 3.4
    const marks: [i: number, l: number][] = []
    for (let i = 0; i < order; i++) if (t.injected[i] !== null) marks.push([i, level(target, i)])
    // The worst are drawn last, on top.
    marks.sort((a, b) => a[1] - b[1])
    for (const [i, l] of marks) {
      context.fillStyle = palette[l + 1]!
      context.beginPath()
      context.arc(xOf(i, width), yOf(value(t.injected, i)), l >= 5 ? Math.max(4, size) : size, 0, 7)
      context.fill()
    }
    for (const i of [selected, hovered]) {
      if (i === null) continue
      context.strokeStyle = colour(i === selected ? 'text' : 'muted')
      context.lineWidth = 1
      context.beginPath()
      context.moveTo(xOf(i, width), margin.top)
      context.lineTo(xOf(i, width), bottom)
      context.stroke()
    }
  }
  const redraw = (): void => {
    if (!pending) requestAnimationFrame(draw)
    pending = true
  }
  const nodeAt = (px: number): number => {
    const share = (px - margin.left) / (canvas.clientWidth - margin.left - margin.right)
    return Math.max(0, Math.min(order - 1, Math.floor(share * order)))
  }
  canvas.addEventListener('pointermove', (e) => {
    hovered = nodeAt(e.offsetX)
    onHover(hovered)
    redraw()
  })
  canvas.addEventListener('pointerleave', () => {
    hovered = null
    onHover(null)
    redraw()
  })
  canvas.addEventListener('click', (e) => onSelect(nodeAt(e.offsetX)))
  new ResizeObserver(redraw).observe(canvas)
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw)
  redraw()
  return {
    show(t) {
      target = t
      redraw()
    },
    relative(on) {
      isRelative = on
      redraw()
    },
    select(node) {
      selected = node
      redraw()
    },
  }
}
