/** Conversations to token ids. */
export { DEFAULT_SYSTEM, HUB_TEMPLATE } from './built-in.js';
export {
  type ChatContent,
  type ChatMessage,
  type ChatRole,
  checkMessages,
  conversation,
  hasTags,
  IMAGE_TAG,
  imagesOf,
} from './messages.js';
export { type EncodedChat, encodeChat, type PromptSegment, type RenderedChat } from './segments.js';
export { ChatTemplate, type RenderOptions, TEMPLATE_NAMES, type TemplateName } from './template.js';
