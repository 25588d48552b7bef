package imports

import "github.com/shuke-crm/shuke/internal/platform/apperr"

// Errors of this domain.
var (
	ErrNotFound       = apperr.Define(apperr.NotFound, "imports.not_found", "There is no such import of yours.", "您没有该导入任务。")
	ErrFile           = apperr.Define(apperr.Invalid, "imports.file_required", "The upload has no file, or more than one.", "上传内容中没有文件，或不止一个文件。")
	ErrField          = apperr.Define(apperr.Invalid, "imports.field_invalid", "This part of the upload is not known, or not in the form described.", "上传内容中的该部分未知或格式不正确。")
	ErrEmpty          = apperr.Define(apperr.Invalid, "imports.file_empty", "The file has no header row followed by data.", "文件中没有表头和数据行。")
	ErrFormat         = apperr.Define(apperr.Invalid, "imports.format_unsupported", "This is neither CSV nor XLSX. Save old Excel files (.xls) as .xlsx first.", "文件既不是 CSV 也不是 XLSX；旧版 Excel（.xls）请先另存为 .xlsx。")
	ErrEncoding       = apperr.Define(apperr.Invalid, "imports.encoding_unknown", "The file is neither UTF-8 nor UTF-16 nor GB18030 throughout. Name the encoding, or save it anew as UTF-8.", "文件并非始终使用 UTF-8、UTF-16 或 GB18030 编码，请指定编码或另存为 UTF-8。")
	ErrDamaged        = apperr.Define(apperr.Invalid, "imports.file_damaged", "The file is damaged and cannot be read on from row {row}.", "文件已损坏，从第 {row} 行起无法读取。")
	ErrQuote          = apperr.Define(apperr.Invalid, "imports.quote_unclosed", "A quotation mark opened near row {row} is never closed, or a row is longer than a mebibyte.", "第 {row} 行附近的引号没有闭合，或该行超过 1 MiB。")
	ErrCellLong       = apperr.Define(apperr.Invalid, "imports.cell_too_long", "A cell of row {row} holds more than a cell of a workbook can ({max} characters).", "第 {row} 行有单元格超过工作簿单元格的上限（{max} 个字符）。")
	ErrBomb           = apperr.Define(apperr.Invalid, "imports.archive_bomb", "The workbook unpacks to more than may be read ({max} bytes, or 200 times its size).", "工作簿解压后的大小超过允许范围（{max} 字节，或压缩大小的 200 倍）。")
	ErrSheet          = apperr.Define(apperr.Invalid, "imports.sheet_unknown", "The workbook has no sheet of this name.", "工作簿中没有该名称的工作表。")
	ErrColumns        = apperr.Define(apperr.Invalid, "imports.too_many_columns", "The file has more than {max} columns.", "文件的列数超过 {max}。")
	ErrRows           = apperr.Define(apperr.Invalid, "imports.too_many_rows", "The file has more than {max} rows; cut it into several.", "文件超过 {max} 行，请拆分后导入。")
	ErrRepeated       = apperr.Define(apperr.Conflict, "imports.file_repeated", "This very file has been imported already. Say repeat to import it once more.", "该文件已经导入过；如需再次导入请指定 repeat。")
	ErrMapping        = apperr.Define(apperr.Invalid, "imports.mapping_invalid", "The mapping names a column or field that does not exist, or one of them twice.", "列映射包含不存在或重复的列或字段。")
	ErrHeader         = apperr.Define(apperr.Invalid, "imports.header_ambiguous", "Several columns have this header; name the column by its number.", "有多列使用该表头，请用列号指定。")
	ErrMappingNeeds   = apperr.Define(apperr.Invalid, "imports.mapping_needed", "The columns cannot be told for certain. Try the file with dry_run first, or give a mapping.", "无法确定各列含义，请先试运行（dry_run）或提供列映射。")
	ErrRunning        = apperr.Define(apperr.Conflict, "imports.running", "This import is still at work; wait for it or cancel its job.", "该导入仍在进行，请等待或取消其任务。")
	ErrFinished       = apperr.Define(apperr.Conflict, "imports.finished", "This import has been done.", "该导入已完成。")
	ErrBegun          = apperr.Define(apperr.Conflict, "imports.begun", "Part of this file has been taken over already; it can only go on as it began.", "该文件已部分导入，只能按原设置继续。")
	ErrGone           = apperr.Define(apperr.Conflict, "imports.file_deleted", "The file has been deleted since; upload it again.", "文件已被清除，请重新上传。")
	ErrReviewNotFound = apperr.Define(apperr.NotFound, "imports.review_not_found", "There is no such row waiting for a decision.", "没有等待处理的该行。")
	ErrReviewDecided  = apperr.Define(apperr.Conflict, "imports.review_decided", "This row has been decided about already.", "该行已处理。")

	// Of exports.
	ErrExportNotFound = apperr.Define(apperr.NotFound, "exports.not_found", "There is no such export of yours.", "您没有该导出任务。")
	ErrExportField    = apperr.Define(apperr.Invalid, "exports.field_unknown", "There is no such column, or it is named twice. Known: {known}.", "没有该列或重复指定。可用的列：{known}。")
	ErrExportFilter   = apperr.Define(apperr.Invalid, "exports.filter_unfit", "This filter does not suit what is exported.", "该筛选条件不适用于所导出的内容。")
	ErrExportBusy     = apperr.Define(apperr.Conflict, "exports.too_many_running", "You have {max} exports under way already; wait for one to end.", "您已有 {max} 个导出正在进行，请等待其结束。")
	ErrExportUnready  = apperr.Define(apperr.Conflict, "exports.not_ready", "The file has not been written.", "文件尚未生成。")
	ErrExportGone     = apperr.Define(apperr.Conflict, "exports.file_deleted", "The file has been deleted; export anew.", "文件已被清除，请重新导出。")
	ErrExportRunning  = apperr.Define(apperr.Conflict, "exports.running", "This export is still at work; cancel its job first.", "该导出仍在进行，请先取消其任务。")

	// Of single cells and rows.
	ErrRagged    = apperr.Define(apperr.Invalid, "imports.row_ragged", "The row has {have} cells, the header {want}.", "该行有 {have} 个单元格，表头有 {want} 个。")
	ErrQuotes    = apperr.Define(apperr.Invalid, "imports.row_quotes", "A quotation mark stands inside a cell; put the cell in quotation marks and double the one inside.", "单元格内含有引号；请用引号括住该单元格并将其中的引号写两次。")
	ErrText      = apperr.Define(apperr.Invalid, "imports.text_unreadable", "The cell has characters that the file's encoding does not know.", "单元格包含文件编码无法识别的字符。")
	ErrFormula   = apperr.Define(apperr.Invalid, "imports.formula", "The cell is a formula and has no value of its own.", "单元格是公式，没有可用的值。")
	ErrCell      = apperr.Define(apperr.Invalid, "imports.cell_error", "The cell shows an error of the spreadsheet.", "单元格是电子表格的错误值。")
	ErrRounded   = apperr.Define(apperr.Invalid, "imports.number_rounded", "The spreadsheet has rounded this number; format the column as text and enter it again.", "电子表格已对该数字取舍，请将该列设为文本后重新填写。")
	ErrDate      = apperr.Define(apperr.Invalid, "imports.date_invalid", "This is no date in a known form, such as 1990-05-01.", "日期格式无法识别，例如应为 1990-05-01。")
	ErrDateOrder = apperr.Define(apperr.Invalid, "imports.date_ambiguous", "Day and month cannot be told apart; write the year first.", "无法区分日和月，请将年份写在最前面。")
	ErrGender    = apperr.Define(apperr.Invalid, "imports.gender_unknown", "The gender is written in a way that is not known.", "性别的写法无法识别。")
	ErrStore     = apperr.Define(apperr.Invalid, "imports.store_unknown", "There is no store of this code within your reach.", "您的权限范围内没有该编码的门店。")
	ErrStaff     = apperr.Define(apperr.Invalid, "imports.staff_unknown", "There is no member of staff of this user name within your reach.", "您的权限范围内没有该用户名的员工。")
)
