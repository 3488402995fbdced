/** The added tokens of InternVL3's tokenizer, in the order of their ids (docs/internvl3.md, section 7.1). */

/** Qwen2.5's 22, then InternVL's nine. */
export const ADDED_TOKENS = [
  '<|endoftext|>',
  '<|im_start|>',
  '<|im_end|>',
  '<|object_ref_start|>',
  '<|object_ref_end|>',
  '<|box_start|>',
  '<|box_end|>',
  '<|quad_start|>',
  '<|quad_end|>',
  '<|vision_start|>',
  '<|vision_end|>',
  '<|vision_pad|>',
  '<|image_pad|>',
  '<|video_pad|>',
  '<tool_call>',
  '</tool_call>',
  '<|fim_prefix|>',
  '<|fim_middle|>',
  '<|fim_suffix|>',
  '<|fim_pad|>',
  '<|repo_name|>',
  '<|file_sep|>',
  '<img>',
  '</img>',
  '<IMG_CONTEXT>',
  '<quad>',
  '</quad>',
  '<ref>',
  '</ref>',
  '<box>',
  '</box>',
] as const;

export type AddedTokenName = (typeof ADDED_TOKENS)[number];

/** Those that are not special, which decoding never leaves out. */
export const PLAIN_ADDED: RegExp =
  /^<(\/?tool_call|\|(fim_(prefix|middle|suffix|pad)|repo_name|file_sep)\|)>$/;
